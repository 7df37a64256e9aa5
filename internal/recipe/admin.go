package recipe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// mostVersions bounds the size of an admin's table.
const mostVersions = 1 << 20

// adminTable is an admin's file: rows that are put over the embedded ones. A row that is null goes.
type adminTable struct {
	Schema     int                        `json:"schema"`
	Torch      map[string]json.RawMessage `json:"torch"`
	TensorFlow map[string]json.RawMessage `json:"tensorflow"`
	CUDA       map[string]json.RawMessage `json:"cuda"`
	Images     struct {
		CUDNN map[string]json.RawMessage `json:"combinations_cudnn_devel"`
	} `json:"nvidia_cuda_images"`
}

// ReadVersions reads an admin's table over the embedded one. What is wrong in
// it is Invalid "versions_wrong" with the file, the place and what is expected.
func ReadVersions(path string) (*Versions, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, masu.E(masu.Invalid, "versions_wrong", path, strings.ReplaceAll(err.Error(), "\n", "; ")).Because(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostVersions+1))
	if err == nil && len(b) > mostVersions {
		err = errors.New("> 1 MiB")
	}
	if err == nil {
		var v *Versions
		if v, err = over(b); err == nil {
			return v, nil
		}
	}
	return nil, masu.E(masu.Invalid, "versions_wrong", path, strings.ReplaceAll(err.Error(), "\n", "; ")).Because(err)
}

// over puts the rows of a file over those that are embedded.
func over(b []byte) (*Versions, error) {
	var a adminTable
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return nil, placed(b, d.InputOffset(), err)
	}
	if a.Schema != 1 {
		return nil, errors.New(`"schema": 1`)
	}
	t := *versions()
	t.Torch, t.TensorFlow, t.CUDA, t.Images.CUDNN = maps.Clone(t.Torch), maps.Clone(t.TensorFlow), maps.Clone(t.CUDA), maps.Clone(t.Images.CUDNN)
	err := errors.Join(
		rowsOver("torch", t.Torch, a.Torch),
		rowsOver("tensorflow", t.TensorFlow, a.TensorFlow),
		rowsOver("cuda", t.CUDA, a.CUDA),
		rowsOver("nvidia_cuda_images.combinations_cudnn_devel", t.Images.CUDNN, a.Images.CUDNN),
	)
	if err != nil {
		return nil, err
	}
	if wrong := t.check(); len(wrong) > 0 {
		return nil, errors.New(strings.Join(wrong, "; "))
	}
	return &Versions{&t}, nil
}

// placed adds line and column to what the decoder says.
func placed(b []byte, at int64, err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = e.Offset
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		at = e.Offset
	}
	before := b[:min(at, int64(len(b)))]
	line := bytes.Count(before, []byte("\n")) + 1
	return fmt.Errorf("%d:%d: %w", line, len(before)-bytes.LastIndexByte(before, '\n'), err)
}

// rowsOver changes rows; each is read strictly, but for remarks.
func rowsOver[T any](section string, rows map[string]T, changes map[string]json.RawMessage) error {
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		if string(changes[key]) == "null" {
			delete(rows, key)
			continue
		}
		var row T
		if err := strictly(changes[key], &row); err != nil {
			return fmt.Errorf("%s.%s: %w", section, key, err)
		}
		rows[key] = row
	}
	return nil
}

// strictly reads an object that has the fields of a struct, and remarks for people.
func strictly(b []byte, to any) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	known := []string{"source", "verified", "unverified_fields", "note"}
	for t, i := reflect.TypeOf(to).Elem(), 0; i < t.NumField(); i++ {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		known = append(known, name)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%q is not one of %s", name, strings.Join(known, ", "))
		}
	}
	return json.Unmarshal(b, to)
}

var dotted = regexp.MustCompile(`^\d+\.\d+(\.\d+)*$`)

// check lists what the code could not work with.
func (t *table) check() (wrong []string) {
	say := func(format string, a ...any) { wrong = append(wrong, fmt.Sprintf(format, a...)) }
	for _, v := range newestFirst(t.Torch) {
		t.checkTorch(v, t.Torch[v], say)
	}
	for _, v := range newestFirst(t.TensorFlow) {
		row := t.TensorFlow[v]
		if _, ok := t.release(row.CUDA); !dotted.MatchString(v) || !ok || compare(row.Python[0], row.Python[1]) >= 0 {
			say("tensorflow.%s: python [first, last] and a cuda that the table knows", v)
		}
		if !strings.HasPrefix(row.CUDAFrom, "pip") && t.cudnnImage(row.CUDA) == "" {
			say("tensorflow.%s: no image has CUDA %s", v, row.CUDA)
		}
	}
	for _, v := range newestFirst(t.CUDA) {
		row := t.CUDA[v]
		if !dotted.MatchString(v) || row.Full == "" && row.Minor == "" || row.Full != "" && row.Minor != "" && compare(major(row.Minor), major(row.Full)) > 0 {
			say("cuda.%s: min_driver_linux or min_driver_for_minor_compat", v)
		}
	}
	return wrong
}

func (t *table) checkTorch(v string, row torchRow, say func(string, ...any)) {
	if !dotted.MatchString(v) || compare(row.Python[0], row.Python[1]) >= 0 || len(row.Tags) == 0 {
		say("torch.%s: python [first, last] and cuda_tags", v)
	}
	if !strings.HasPrefix(row.IndexURL, "https://") || !strings.HasSuffix(row.IndexURL, "/{tag}") || !strings.HasPrefix(row.IndexFlag, "--") {
		say("torch.%s: index_url https://…/{tag} and index_flag", v)
	}
	if row.Status == "released" && (row.Torchvision == "" || !slices.Contains(row.Tags, row.Default)) {
		say("torch.%s: torchvision, and a pypi_default_cuda that is one of cuda_tags", v)
	}
	if !slices.IsSortedFunc(row.Tags, func(a, b string) int { return compare(tagCUDA(a), tagCUDA(b)) }) {
		say("torch.%s: cuda_tags in order", v)
	}
	for _, tag := range row.Tags {
		if _, ok := t.release(tagCUDA(tag)); !ok {
			say("torch.%s: the table knows no CUDA of %q (cuNNN)", v, tag)
		}
		if len(row.SM[tag].SM) == 0 || row.Glibc[tag].Glibc == "" {
			say("torch.%s: sm_by_tag and glibc_min_by_tag of %s", v, tag)
		}
	}
}
