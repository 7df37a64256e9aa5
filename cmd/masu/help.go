package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// help writes a command's help, examples first: most people read no further.
func (a *app) help(c *cobra.Command) {
	w := a.out
	fmt.Fprintln(w, c.Short)
	if c.Example != "" {
		fmt.Fprintf(w, "\n%s\n%s\n", a.say("help_examples"), indent(c.Example))
	}
	fmt.Fprintf(w, "\n%s\n", a.say("help_usage"))
	if c.Runnable() && c.HasParent() {
		fmt.Fprintln(w, "  "+useLine(c))
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintln(w, "  "+c.CommandPath()+" COMMAND …")
	}
	if len(c.Aliases) > 0 {
		fmt.Fprintf(w, "\n%s %s\n", a.say("help_aliases"), strings.Join(c.Aliases, ", "))
	}
	if c.Long != "" {
		fmt.Fprintf(w, "\n%s\n", c.Long)
	}
	a.helpCommands(w, c)
	helpFlags(w, a.say("help_flags"), c.LocalNonPersistentFlags())
	if c.HasParent() {
		helpFlags(w, a.say("help_globals"), c.InheritedFlags())
	} else {
		helpFlags(w, a.say("help_globals"), c.PersistentFlags())
		fmt.Fprintf(w, "\n%s\n", a.say("help_more"))
	}
}

// useLine adds what cobra would say in English.
func useLine(c *cobra.Command) string {
	use := c.UseLine()
	if c.LocalNonPersistentFlags().HasAvailableFlags() {
		name, rest, _ := strings.Cut(strings.TrimPrefix(use, c.Parent().CommandPath()+" "), " ")
		use = strings.TrimSpace(c.Parent().CommandPath() + " " + name + " [FLAGS] " + rest)
	}
	return use
}

func (a *app) helpCommands(w io.Writer, c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	width := 0
	for _, s := range c.Commands() {
		width = max(width, len(s.Name()))
	}
	commands := slices.Clone(c.Commands()) // cobra sorts by name; ours are in the order of use
	slices.SortFunc(commands, func(x, y *cobra.Command) int {
		return strings.Compare(x.Annotations["order"], y.Annotations["order"])
	})
	list := func(group string) {
		for _, s := range commands {
			if s.GroupID == group && s.IsAvailableCommand() {
				fmt.Fprintf(w, "  %-*s  %s\n", width, s.Name(), s.Short)
			}
		}
	}
	if len(c.Groups()) == 0 {
		fmt.Fprintf(w, "\n%s\n", a.say("help_commands"))
		list("")
	}
	for _, g := range c.Groups() {
		fmt.Fprintf(w, "\n%s\n", g.Title)
		list(g.ID)
	}
}

func helpFlags(w io.Writer, title string, flags *pflag.FlagSet) {
	type row struct{ left, right string }
	var rows []row
	width := 0
	flags.SortFlags = false
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		short := "    "
		if f.Shorthand != "" {
			short = "-" + f.Shorthand + ", "
		}
		value, usage := pflag.UnquoteUsage(f)
		left := strings.TrimRight(short+"--"+f.Name+" "+value, " ")
		if v := f.DefValue; f.Value.Type() != "bool" && v != "" && v != "0" && v != "[]" {
			usage += " (" + v + ")"
		}
		rows = append(rows, row{left, usage})
		width = max(width, len(left))
	})
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, r := range rows {
		fmt.Fprintf(w, "  %-*s  %s\n", width, r.left, r.right)
	}
}

func indent(s string) string { return "  " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ") }
