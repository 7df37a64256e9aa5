package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/project"
)

// projectFile is where a project says what it asks for.
const projectFile = "masu.yaml"

func (a *app) initCommand() *cobra.Command {
	var answers masu.Draft
	var force bool
	var c *cobra.Command
	var from, image string
	c = a.command("init", "init [LINK] [DIR]", groupMake, a.args(0, 2), func(ctx context.Context, args []string) error {
		dir := ""
		if len(args) > 0 && strings.Contains(args[0], "://") {
			from, args = args[0], args[1:]
		}
		if len(args) > 1 {
			return masu.E(masu.Invalid, "args_many", c.CommandPath(), args[1], c.UseLine())
		}
		if len(args) > 0 {
			dir = args[0]
		}
		if a.server != nil {
			return a.initFar(ctx, dir, from, image, force, c.Flags().NFlag() == 0, &answers)
		}
		dir, err := a.projectDir(dir, true)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, projectFile)
		if _, err := os.Lstat(path); err == nil && !force {
			return masu.E(masu.Invalid, "init_exists", path)
		}
		text, lock, err := a.projectText(ctx, from, image, c.Flags().NFlag() == 0, &answers)
		if err != nil {
			return err
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return masu.E(masu.Invalid, "cannot_write", path).Because(err)
		}
		defer root.Close()
		if err := a.writeBelow(root, masu.File{Path: projectFile, Text: text}); err != nil {
			return masu.E(masu.Invalid, "cannot_write", path).Because(err)
		}
		a.note("init_wrote", path)
		if lock == "" {
			return nil
		}
		path = filepath.Join(dir, lockFile)
		if err := a.writeBelow(root, masu.File{Path: lockFile, Text: lock}); err != nil {
			return masu.E(masu.Invalid, "cannot_write", path).Because(err)
		}
		a.note("init_wrote", path)
		return nil
	})
	f := c.Flags()
	f.StringVar(&answers.Preset, "preset", "", "")
	f.IntVar(&answers.GPUs, "gpus", 0, "")
	f.StringVar(&answers.Python, "python", "", "")
	f.StringVar(&answers.Torch, "torch", "", "")
	f.StringVar(&answers.TensorFlow, "tensorflow", "", "")
	f.StringSliceVar(&answers.Pip, "pip", nil, "")
	f.StringSliceVar(&answers.Apt, "apt", nil, "")
	f.StringVar(&from, "from", "", "")
	f.StringVar(&image, "image", "", "")
	f.BoolVar(&force, "force", false, "")
	return c
}

// initFar is init in a folder of the server's.
func (a *app) initFar(ctx context.Context, said, from, image string, force, ask bool, answers *masu.Draft) error {
	return a.with(ctx, func(s service) error {
		dir, err := a.farDir(ctx, s, said, true)
		if err != nil {
			return err
		}
		old, err := s.ProjectFile(ctx, dir)
		if err != nil {
			return err
		}
		path := dir + "/" + projectFile
		if old != "" && !force {
			return masu.E(masu.Invalid, "init_exists", path)
		}
		text, lock, err := a.projectText(ctx, from, image, ask, answers)
		if err != nil {
			return err
		}
		if lock != "" {
			a.note("init_lock_left") // the daemon takes nothing but a masu.yaml from afar
		}
		if err := s.WriteProjectFile(ctx, dir, old, text); err != nil {
			return err
		}
		a.note("init_wrote", path)
		return nil
	})
}

// projectText is the masu.yaml to write: one that somebody shares or that an
// image was built for, with their lock, or one after the flags, or where there
// are none, after questions.
func (a *app) projectText(ctx context.Context, from, image string, ask bool, answers *masu.Draft) (text, lock string, err error) {
	if image != "" {
		return a.imageText(ctx, image)
	}
	if from != "" {
		err = a.with(ctx, func(s service) error {
			u, err := s.Shared(ctx, sharedID(from))
			text, lock = u.Shared.Text, u.Shared.Lock
			if u.Shared.Retired != "" {
				a.note("init_retired", u.Shared.Title, u.Shared.Retired)
			}
			return err
		})
		return text, lock, err
	}
	answers.Lang = a.lang
	if a.interactive() && ask {
		if err := a.askProject(ctx, answers); err != nil {
			return "", "", err
		}
	}
	if answers.Preset != "" && !slices.Contains(project.Presets(), answers.Preset) {
		return "", "", masu.E(masu.Invalid, "preset_unknown", answers.Preset)
	}
	return project.Template(*answers), "", nil
}

// imageText is what asks for the environment of an image, and holds builds to its versions.
func (a *app) imageText(ctx context.Context, image string) (text, lock string, err error) {
	err = a.with(ctx, func(s service) error {
		c, err := s.Contents(ctx, image)
		if err == nil && c.Text == "" {
			err = masu.E(masu.Invalid, "share_dockerfile")
		}
		text, lock = c.Text, c.Lock.Text()
		return err
	})
	return text, lock, err
}

// askProject asks the three questions; Enter takes what stands in brackets.
func (a *app) askProject(ctx context.Context, o *masu.Draft) error {
	if err := a.askChoice(ctx, o); err != nil {
		return err
	}
	for {
		answer, err := a.ask(ctx, "init_ask_gpus", "0")
		if err != nil {
			return err
		}
		n, ok := number(answer)
		if ok || answer == "0" {
			o.GPUs = n
			break
		}
		a.tell(masu.E(masu.Invalid, "gpus_wrong", answer))
	}
	answer, err := a.ask(ctx, "init_ask_pip", "")
	o.Pip = strings.Fields(answer)
	return err
}

// askChoice offers what runs on the daemon's host; without a daemon, what masu knows.
func (a *app) askChoice(ctx context.Context, o *masu.Draft) error {
	choices := a.choices(ctx)
	for i, c := range choices {
		mark := ""
		if c.Default {
			mark = a.say("init_choice_default")
		}
		fmt.Fprintf(a.err, "%3d  %-11s %s %s\n", i+1, c.Preset, c, mark)
	}
	for {
		answer, err := a.ask(ctx, "init_ask_preset", "1")
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(choices, func(c masu.Choice) bool { return c.Preset == answer }); i >= 0 {
			answer = strconv.Itoa(i + 1) // a name means the first of that name
		}
		n, ok := number(answer)
		if !ok || n > len(choices) {
			a.tell(masu.E(masu.Invalid, "choice_unknown", answer, len(choices)))
			continue
		}
		c := choices[n-1]
		o.Preset = c.Preset
		if !c.Default { // who takes what suits the server keeps getting what suits it
			o.Torch, o.TensorFlow = c.Torch, c.TensorFlow
		}
		return nil
	}
}

func (a *app) choices(ctx context.Context) (all []masu.Choice) {
	_ = a.with(ctx, func(s service) (err error) { all, err = s.Choices(ctx); return err })
	if len(all) == 0 {
		for _, p := range project.Presets() {
			all = append(all, masu.Choice{Preset: p, Default: p == "python"})
		}
		slices.Reverse(all) // the plainest first
	}
	return all
}

func (a *app) ask(ctx context.Context, code, preset string) (string, error) {
	fmt.Fprint(a.err, a.say(code, preset)+" ")
	line, err := a.readLine(ctx)
	if line = strings.TrimSpace(line); line == "" {
		line = preset
	}
	return line, err
}
