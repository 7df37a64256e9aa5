package api

import (
	"encoding"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// route is one call, as the document describes it.
type route struct {
	method, path string
	reads        bool     // it changes nothing: a token that may only read may ask for it
	params       []string // names in the query
	in, out      reflect.Type
	lines        bool // the answer comes as JSON lines: items, and a last one with the result or the error
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

func (r router) describe(x route) { *r.api = append(*r.api, x) }

// object is a piece of JSON.
type object map[string]any

// openAPI answers with the document, which is made from the routes themselves.
func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, document(s.api, s.Version))
}

// document describes the routes as OpenAPI 3.1 does.
func document(routes []route, version string) object {
	d := &describer{schemas: object{}}
	fault := d.schema(typeOf[wireError]())
	paths := object{}
	for _, r := range routes {
		op := object{
			"operationId": operationID(r),
			"x-changes":   !r.reads,
			"responses": object{
				"200":     object{"description": "done", "content": object{contentType(r): object{"schema": d.answer(r)}}},
				"default": object{"description": "refused", "content": object{typeJSON: object{"schema": fault}}},
			},
		}
		var params []object
		for _, name := range r.params {
			params = append(params, object{"name": name, "in": "query", "schema": object{"type": "string"}})
		}
		if params != nil {
			op["parameters"] = params
		}
		if r.in != nil {
			op["requestBody"] = object{"required": true, "content": object{typeJSON: object{"schema": d.schema(r.in)}}}
		}
		at, ok := paths[APIPath+r.path].(object)
		if !ok {
			at = object{}
			paths[APIPath+r.path] = at
		}
		at[strings.ToLower(r.method)] = op
	}
	return object{
		"openapi":  "3.1.0",
		"info":     object{"title": "masu", "version": version, "license": object{"name": "Apache-2.0"}},
		"paths":    paths,
		"security": []object{{"token": []string{}}},
		"components": object{
			"schemas":         d.schemas,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
		},
	}
}

// operationID is "getWorkspaces" for GET /v1/workspaces.
func operationID(r route) string {
	id := strings.ToLower(r.method)
	for word := range strings.FieldsFuncSeq(strings.TrimPrefix(r.path, "/v1/"), func(c rune) bool { return c == '/' || c == '_' }) {
		id += strings.ToUpper(word[:1]) + word[1:]
	}
	return id
}

func contentType(r route) string {
	if r.lines {
		return typeLines
	}
	return typeJSON
}

// describer writes JSON schemas of Go types; named structs once, under their name.
type describer struct{ schemas object }

func (d *describer) answer(r route) object {
	if !r.lines {
		return d.schema(r.out)
	}
	item := r.out
	if r.in != nil { // progress, and then the result
		item = typeOf[masu.Progress]()
	}
	return object{"type": "object", "properties": object{"item": d.schema(item), "result": d.schema(r.out), "error": d.schema(typeOf[wireError]())}}
}

func (d *describer) schema(t reflect.Type) object {
	switch {
	case t == typeOf[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Implements(typeOf[encoding.TextMarshaler]()):
		return object{"type": "string"}
	case t.Kind() == reflect.Pointer:
		return d.schema(t.Elem())
	case t.Kind() == reflect.Struct && t.Name() != "":
		name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
		if _, known := d.schemas[name]; !known {
			d.schemas[name] = object{} // before its fields: a type may hold itself
			d.schemas[name] = d.structure(t)
		}
		return object{"$ref": "#/components/schemas/" + name}
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		return object{"type": []string{"array", "null"}, "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": []string{"object", "null"}, "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		return d.structure(t)
	}
	return object{"type": "integer"} // what is left are whole numbers: a test goes through every type
}

// structure describes a struct as encoding/json writes it: fields of embedded ones stand among its own.
func (d *describer) structure(t reflect.Type) object {
	properties := object{}
	var required []string
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" || f.Anonymous && name == "" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		properties[name] = d.schema(f.Type)
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	s := object{"type": "object", "properties": properties}
	if required != nil {
		slices.Sort(required)
		s["required"] = slices.Compact(required)
	}
	return s
}
