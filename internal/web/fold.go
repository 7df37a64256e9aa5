package web

import (
	"html/template"
	"text/template/parse"
)

// fold writes into the templates of one language what is the same whenever they
// are shown: sentences without blanks, and the names of static files. Half of
// what rendering the first page took was to look these up.
func fold(t *template.Template, constant map[string]func(string) string) {
	for _, one := range t.Templates() {
		if one.Tree != nil {
			foldList(one.Tree.Root, constant)
		}
	}
}

func foldList(list *parse.ListNode, constant map[string]func(string) string) {
	if list == nil {
		return
	}
	for i, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			if text, ok := constantly(n, constant); ok {
				list.Nodes[i] = &parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos, Text: []byte(template.HTMLEscapeString(text))}
			}
		case *parse.IfNode:
			foldList(n.List, constant)
			foldList(n.ElseList, constant)
		case *parse.RangeNode:
			foldList(n.List, constant)
			foldList(n.ElseList, constant)
		case *parse.WithNode:
			foldList(n.List, constant)
			foldList(n.ElseList, constant)
		}
	}
}

// constantly gives what an action of the form {{say "code"}} always gives.
func constantly(n *parse.ActionNode, constant map[string]func(string) string) (string, bool) {
	if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 || len(n.Pipe.Cmds[0].Args) != 2 {
		return "", false
	}
	name, isName := n.Pipe.Cmds[0].Args[0].(*parse.IdentifierNode)
	arg, isText := n.Pipe.Cmds[0].Args[1].(*parse.StringNode)
	if !isName || !isText || constant[name.Ident] == nil {
		return "", false
	}
	return constant[name.Ident](arg.Text), true
}
