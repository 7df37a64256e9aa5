package masu

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"
)

// Run is a command that runs by itself, in a box that is gone when it ends. It
// waits for its GPUs in the queue, and gives them back the moment it ends.
type Run struct {
	ID       WorkspaceID   `json:"id"` // of its box
	Owner    Username      `json:"owner"`
	Name     string        `json:"name"`
	Project  Project       `json:"project"`          // as it was read when it was asked for
	Preset   string        `json:"preset,omitempty"` // that was asked for
	Argv     []string      `json:"argv"`
	Notebook *Notebook     `json:"notebook,omitempty"` // what Argv executes, if that is a notebook
	Env      []string      `json:"env,omitempty"`      // KEY=VALUE, over the project's
	Class    string        `json:"class,omitempty"`
	Limit    time.Duration `json:"limit,omitempty"`   // it is ended when it takes longer; 0: never
	Series   string        `json:"series,omitempty"`  // the same for all of an array
	Index    int           `json:"index,omitempty"`   // in its array; in MASU_ARRAY_INDEX too
	After    []WorkspaceID `json:"after,omitempty"`   // runs that must have ended well before
	Retries  int           `json:"retries,omitempty"` // how often it is begun anew when its host is lost
	Tries    int           `json:"tries,omitempty"`   // how often it was begun

	Phase     RunPhase   `json:"phase"`
	Code      int        `json:"code"` // exit code, with RunEnded
	Trouble   *Trouble   `json:"trouble,omitempty"`
	GPUs      []GPUID    `json:"gpus,omitempty"`
	EndsAt    time.Time  `json:"ends_at,omitzero"`  // announced: its GPUs will be taken back then, which ends it
	Asked     []Username `json:"asked,omitempty"`   // who would like to have its GPUs
	EndWhy    EndReason  `json:"end_why,omitempty"` // with EndsAt
	At        time.Time  `json:"at"`
	StartedAt time.Time  `json:"started_at,omitzero"`
	EndedAt   time.Time  `json:"ended_at,omitzero"`
	Used      Use        `json:"used,omitzero"`     // by its last box, looked at twice a second
	GPUUsed   GPUWork    `json:"gpu_used,omitzero"` // meanwhile
}

// RunPhase is where a run is on its way: queued → running → ended; any → failed, cancelled.
type RunPhase string

const (
	RunQueued    RunPhase = "queued" // for others that it comes after, its image, or GPUs
	RunRunning   RunPhase = "running"
	RunEnded     RunPhase = "ended"     // by itself, with Code
	RunFailed    RunPhase = "failed"    // by something else, with Trouble
	RunCancelled RunPhase = "cancelled" // by its owner
)

// Over tells whether nothing more will happen to the run.
func (r Run) Over() bool {
	return r.Phase == RunEnded || r.Phase == RunFailed || r.Phase == RunCancelled
}

// Well tells whether the run has done what it was for.
func (r Run) Well() bool { return r.Phase == RunEnded && r.Code == 0 }

// Words is the command as people write it.
func (r Run) Words() string {
	words := r.Argv
	if r.Notebook != nil {
		words = []string{r.Notebook.Path}
		for _, p := range r.Notebook.Parameters {
			words = append(words, "-p", p)
		}
	}
	return strings.Join(words, " ")
}

// Again asks for what a run was asked for once more, in its folder as it is by then; of an array it is the one
// with its number. It comes after nothing, and what it puts out goes to a place of its own.
func (r Run) Again() RunWish {
	want := r.Project.Want
	w := RunWish{Dir: r.Project.Dir, Preset: r.Preset, Name: r.Name, Want: &want, Class: r.Class, Limit: r.Limit, Retries: r.Retries}
	if n := r.Notebook; n != nil {
		w.Notebook = &Notebook{Path: n.Path, Parameters: n.Parameters}
	} else {
		w.Argv = r.Argv
	}
	if r.Series != "" {
		w.Array, w.First, w.Last = true, r.Index, r.Index
	}
	for _, kv := range r.Env {
		if !strings.HasPrefix(kv, arrayIndex) || r.Series == "" {
			w.Env = append(w.Env, kv)
		}
	}
	return w
}

// arrayIndex begins what tells a run of an array its number.
const arrayIndex = "MASU_ARRAY_INDEX="

// ArrayIndex tells a run of an array its number, in its environment.
func ArrayIndex(i int) string { return arrayIndex + strconv.Itoa(i) }

// RunWish asks for runs.
type RunWish struct {
	Dir      string        `json:"dir,omitempty"` // project folder; "" means no folder
	Preset   string        `json:"preset,omitempty"`
	Name     string        `json:"name,omitempty"`
	Want     *Want         `json:"want,omitempty"` // instead of the project's
	Class    string        `json:"class,omitempty"`
	Argv     []string      `json:"argv,omitempty"`
	Notebook *Notebook     `json:"notebook,omitempty"` // instead of Argv: a notebook in Dir, to be executed
	Env      []string      `json:"env,omitempty"`
	Limit    time.Duration `json:"limit,omitempty"`
	First    int           `json:"first,omitempty"` // of an array: First to Last, both included
	Last     int           `json:"last,omitempty"`
	Array    bool          `json:"array,omitempty"`
	After    []WorkspaceID `json:"after,omitempty"`
	Retries  int           `json:"retries,omitempty"`
}

// SetArray reads "0-9": an array of runs, the first and the last number; Invalid "array_wrong".
func (w *RunWish) SetArray(s string) error {
	first, last, _ := strings.Cut(s, "-")
	var err1, err2 error
	w.Array = true
	w.First, err1 = strconv.Atoi(first)
	if w.Last, err2 = strconv.Atoi(last); err1 != nil || err2 != nil {
		return E(Invalid, "array_wrong", ArrayMost)
	}
	return nil
}

// ArrayMost bounds an array of runs.
const ArrayMost = 1000

// Runs is the part of Service about runs that go on by themselves. Others' are NotFound "no_run".
type Runs interface {
	// Submit writes runs down and returns at once. A notebook that is not there is Invalid "notebook_missing",
	// one of too many parts "notebook_many".
	Submit(ctx context.Context, w RunWish) ([]Run, error)
	// Runs lists the actor's, the newest first; with all an admin's view of everybody's.
	Runs(ctx context.Context, all bool) ([]Run, error)
	RunByID(ctx context.Context, id WorkspaceID) (Run, error)
	// CancelRun ends a run, or its wait. One that is over stays as it is.
	CancelRun(ctx context.Context, id WorkspaceID) (Run, error)
	// ForgetRun removes what is kept of a run that is over, with its log; Conflict "run_goes_on".
	ForgetRun(ctx context.Context, id WorkspaceID) error
	// Notebooks lists the notebooks in a folder of the actor's and a few folders below it, by path, but for what
	// runs have put out; at most NotebooksMost, and in a folder of very many files those that are found within a moment.
	// Hidden folders are left out.
	Notebooks(ctx context.Context, dir string) ([]string, error)
	// RunLog copies what a run has printed; with follow, until it ends.
	RunLog(ctx context.Context, id WorkspaceID, w io.Writer, follow bool) error
	// RunSamples tells what a run used, minute by minute, the oldest first; SamplesFor is how long that is kept.
	RunSamples(ctx context.Context, id WorkspaceID) ([]Sample, error)
	// RunNotebook copies the notebook that a run fills, as it is now, with the owner's own rights;
	// NotFound "no_notebook" if there is none or not yet, Invalid "notebook_large".
	RunNotebook(ctx context.Context, id WorkspaceID, w io.Writer) error
}
