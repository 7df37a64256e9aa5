// Package lab is the heart of masu: it brings workspaces up and down, lends
// GPUs, keeps what should be and what is in step, says who is who, and writes
// down who did what.
package lab

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/metrics"
	"github.com/masu-lab/masu/internal/recipe"
)

// Config is what a lab is made of.
type Config struct {
	Store     masu.Store
	Runtime   masu.Runtime
	Inventory masu.Inventory
	Accounts  masu.Accounts
	Folders   masu.Folders
	Origins   masu.Origins
	Bases     masu.Bases // nil where base images can't be made
	Shelf     Shelf      // for masu's own programs for boxes; nil for none

	Read func(f masu.Folder, preset string) (masu.Project, error)
	// Compose reads a compose file of a folder; vars are what its ${NAME} may mean. nil where none is read.
	Compose func(f masu.Folder, file string, vars map[string]string) (masu.Project, error)
	Context func(f masu.Folder, dockerfile, context string) (fs.FS, int64, error) // of a member's own Dockerfile
	NameFor func(dir string) string
	Keep    func(f masu.Folder, preset string, l masu.Layer) ([]masu.File, error) // the folder's files with packages added
	SetApps func(f masu.Folder, preset string, apps []masu.AppWish) ([]masu.File, error)
	Text    func(env masu.Environment, comments ...string) (string, error) // the masu.yaml that asks for an environment
	Host    func(ctx context.Context) masu.Host
	Examine func(ctx context.Context) []masu.Finding              // of the host, for admins; nil for nothing
	Room    func(path string) (free, total masu.Bytes, err error) // of the file system of a path; nil means plenty
	Process func(pid int) (masu.Process, error)                   // of the host; nil where nobody knows
	Usage   func() (masu.Usage, error)                            // of the host; nil where nobody knows
	// Vouch asks somebody else about a password that is not one of masu's own: the host's PAM. nil for nobody.
	Vouch func(ctx context.Context, name masu.Username, password string) (bool, error)
	// KeyFile reads a member's authorized_keys on the host, unless its stamp is still the one that was seen; nil for none.
	KeyFile func(u masu.User, seen string) (text []byte, stamp string, err error)
	// ReadKeys reads such a text, and says which lines are refused and why; nil where there is no ssh gateway.
	ReadKeys func(text []byte) (keys []masu.SSHKey, refused []error)
	SSH      masu.SSHDoor
	Notifier masu.Notifier                                           // nil where nobody is told
	Say      func(lang masu.Lang, code string, args []string) string // sentences of notices; "" for none
	Metrics  *metrics.Set                                            // what is counted; nil where nobody asks
	State    string                                                  // the folder of masu's own records

	Versions *recipe.Versions // nil for the embedded table
	Site     masu.Site
	CAs      []masu.File
	Policy   Policy
	Version  string
	HostName string
	Personal bool // the daemon is one member's own, not root's
	UID      int  // whose, with Personal
	Log      *slog.Logger
}

// Lab serves the members of one host.
type Lab struct {
	cfg      Config
	log      *slog.Logger
	id       string
	work     chan func(context.Context) // to Run, which owns every goroutine
	kick     chan struct{}              // asks for a reconciliation
	builds   *semaphore.Weighted
	starts   *semaphore.Weighted
	hub      *hub
	lendKick chan struct{}            // asks for a decision about GPUs
	foretell *semaphore.Weighted      // who asks what would be never crowds out who decides
	lendMu   sync.Mutex               // one decision at a time; it guards what follows
	missing  map[masu.GPUID]time.Time // lent cards that the driver does not show, since when
	past     map[masu.Username]float64
	usedAt   time.Time // when past was summed up
	quiet    map[masu.LeaseID]*quiet
	metered  map[masu.LeaseID]masu.GPUUse   // since the last minute was written down
	gpuLoads map[masu.WorkspaceID]gpuLoad   // since the last sample
	overrun  map[masu.LeaseID]bool          // of shared cards, as of the last look
	tickedAt time.Time                      // when quiet was last looked at
	reminded map[masu.LeaseID]int           // how often each holder was reminded of the end
	idleNow  map[masu.LeaseID]time.Duration // as of the last look
	gate     *gate
	keyring  *keyring
	visited  visited
	shelfMu  sync.Mutex // one is put on the shelf at a time
	board    boardCache
	months   usageMonths
	rules    atomic.Pointer[masu.Rules] // set by an admin
	own      sync.Map                   // of some members: their masu.MemberLimits, by name
	examined struct {
		mu       sync.Mutex
		at       time.Time
		findings []masu.Finding
	}
	notices chan *notice         // on their way to Run
	alerted map[string]time.Time // when admins were last told of something, by code
	low     map[string][]string  // disks without room, by path: what the sentence about them needs

	mu       sync.Mutex
	ops      map[masu.WorkspaceID]*operation
	journals map[masu.WorkspaceID]*journal // of the last operation on each
	watched  map[masu.WorkspaceID]context.CancelFunc
	runs     map[masu.WorkspaceID]*goingRun // that are being waited for
	lines    map[masu.Username][]place      // each member's runs in their order; the first of them may go
	making   map[masu.ImageRef]*making
	records  map[string]masu.Lock                     // what images have, by their IDs
	building map[masu.Username]int                    // each member's own builds that go on
	moved    chan struct{}                            // closed and replaced when somebody may go on who waits to build or to run
	turned   chan struct{}                            // closed and replaced when somebody's turn has come
	waiting  []masu.Wait                              // as the last decision told
	places   map[masu.WorkspaceID]masu.Forecast       // what those who wait were told last
	taking   map[masu.WorkspaceID]bool                // whose GPUs are being taken back
	handles  map[string]masu.WorkspaceID              // containers of this lab, as last seen
	stirred  map[masu.WorkspaceID]bool                // where something has happened since the last look
	diskAt   map[masu.WorkspaceID]time.Time           // when it was last looked what each takes on disk
	heardAt  map[masu.WorkspaceID]time.Time           // the last activity that each agent told
	open     map[masu.WorkspaceID][]masu.OpenNotebook // in each running box, as its agent told
	root     string                                   // where the engine keeps its data; "" until it was asked
	away     error                                    // why the engine does not answer; nil when it does
}

// New checks that nothing is missing. It reads the lab's identity from the store.
func New(c Config) (*Lab, error) {
	if c.Store == nil || c.Runtime == nil || c.Inventory == nil || c.Accounts == nil || c.Folders == nil || c.Origins == nil ||
		c.Read == nil || c.Context == nil || c.NameFor == nil || c.Text == nil || c.Keep == nil || c.SetApps == nil || c.Host == nil || c.Log == nil {
		return nil, errors.New("lab: a part of Config is missing")
	}
	if c.Metrics == nil {
		c.Metrics = metrics.New()
	}
	l := &Lab{
		cfg: c, log: c.Log,
		work: make(chan func(context.Context)), kick: make(chan struct{}, 1),
		builds: semaphore.NewWeighted(int64(max(1, c.Policy.BuildsAtOnce))), starts: semaphore.NewWeighted(int64(max(1, c.Policy.StartsAtOnce))),
		foretell: semaphore.NewWeighted(2), ops: map[masu.WorkspaceID]*operation{}, journals: map[masu.WorkspaceID]*journal{}, watched: map[masu.WorkspaceID]context.CancelFunc{},
		runs: map[masu.WorkspaceID]*goingRun{}, lines: map[masu.Username][]place{}, making: map[masu.ImageRef]*making{}, records: map[string]masu.Lock{}, building: map[masu.Username]int{}, moved: make(chan struct{}), turned: make(chan struct{}),
		lendKick: make(chan struct{}, 1), missing: map[masu.GPUID]time.Time{}, taking: map[masu.WorkspaceID]bool{}, quiet: map[masu.LeaseID]*quiet{}, metered: map[masu.LeaseID]masu.GPUUse{}, gpuLoads: map[masu.WorkspaceID]gpuLoad{}, stirred: map[masu.WorkspaceID]bool{}, heardAt: map[masu.WorkspaceID]time.Time{},
		open: map[masu.WorkspaceID][]masu.OpenNotebook{}, diskAt: map[masu.WorkspaceID]time.Time{},
	}
	l.months.over = map[time.Time][]masu.UsageRow{}
	l.hub, l.gate, l.keyring = newHub(l.shown), newGate(l), newKeyring()
	l.visited.at = map[visit]time.Time{}
	l.notices, l.alerted, l.low = make(chan *notice, noticesMost), map[string]time.Time{}, map[string][]string{}
	err := c.Store.View(context.Background(), func(tx masu.Tx) (err error) {
		if l.id, err = tx.Lab(); err != nil {
			return err
		}
		rules, err := tx.Rules()
		if err != nil {
			return err
		}
		l.rules.Store(&rules)
		members, err := tx.Members()
		for _, m := range members {
			l.own.Store(m.Name, m.Limits)
		}
		return err
	})
	return l, err
}

const (
	reconcileEvery = 30 * time.Second
	engineRetry    = time.Second
	restTimes      = 9 // a look at everything takes longer the more there is; between two, others come to their turn
	restMost       = 5 * time.Second
)

// Run keeps the lab in step until ctx ends. Boxes go on without it.
func (l *Lab) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer l.hub.close()
	wg.Go(func() { l.follow(ctx) })
	wg.Go(func() { l.lender(ctx) })
	for range noticesAtOnce {
		wg.Go(func() { l.carryNotices(ctx) })
	}
	timer := time.NewTicker(reconcileEvery)
	defer timer.Stop()
	minute := time.NewTicker(sampleEvery)
	defer minute.Stop()
	var kick <-chan struct{} // nil while it rests
	var rested <-chan time.Time
	look := func() {
		begun := time.Now()
		l.reconcile(ctx, &wg)
		kick, rested = nil, time.After(min(restTimes*time.Since(begun), restMost))
	}
	look()
	wg.Go(func() { l.resumeRuns(ctx) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-l.work:
			wg.Go(func() { f(ctx) })
		case <-rested:
			kick = l.kick
		case <-kick:
			look()
		case <-timer.C:
			look()
		case <-minute.C:
			wg.Go(func() { l.sample(ctx) })
			wg.Go(func() { l.lookAtDisk(ctx) })
			wg.Go(func() { l.watchRoom(ctx) })
		}
	}
}

// follow asks for a reconciliation whenever the runtime says that something changed.
func (l *Lab) follow(ctx context.Context) {
	for ctx.Err() == nil {
		for _, err := range l.cfg.Runtime.Changes(ctx) {
			if err != nil {
				l.engineAway(err)
				break
			}
			l.nudge()
		}
		select {
		case <-ctx.Done():
		case <-time.After(engineRetry):
			l.nudge()
		}
	}
}

// nudge asks for a reconciliation soon; one that is asked for already is enough.
func (l *Lab) nudge() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

func (l *Lab) engineAway(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away == nil && err != nil {
		l.log.Warn("the engine does not answer", "error", err)
		l.alertLocked("engine_away")
	}
	l.away = err
}

// spawn runs f under Run's context; it waits until Run takes it.
func (l *Lab) spawn(ctx context.Context, f func(context.Context)) error {
	select {
	case l.work <- f:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// update changes a workspace in a transaction and tells everybody who watches.
func (l *Lab) update(ctx context.Context, id masu.WorkspaceID, change func(*masu.Workspace)) (w masu.Workspace, err error) {
	moved := false
	err = l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		if w, err = tx.Workspace(id); err != nil {
			return err
		}
		phase := w.Phase
		change(&w)
		if moved = w.Phase != phase; moved {
			w.ChangedAt = time.Now()
			l.log.Info("workspace", "workspace", w.Label, "phase", w.Phase)
		}
		return tx.PutWorkspace(w)
	})
	if err == nil {
		l.hub.send(l.placed(w))
	}
	if err == nil && moved && w.Trouble != nil && (w.Phase == masu.Failed || w.Phase == masu.Stopped) {
		l.tell(ctx, w.Owner, notice{occasion: masu.OccasionEnded, workspace: w})
	}
	return w, err
}

// record appends to the audit log; a failure to do so is logged, and does not undo what was done.
// Names may be whatever somebody has typed, who need not have signed in.
func (l *Lab) record(ctx context.Context, a masu.Actor, verb, object string, err error) {
	e := masu.Event{Actor: masu.Username(brief(string(a.Name), nameMost)), Door: a.Door, Verb: verb, Object: brief(object, objectMost)}
	if err != nil {
		e.Code = masu.CodeOf(err)
	}
	if werr := l.cfg.Store.Update(context.WithoutCancel(ctx), func(tx masu.Tx) error { return tx.Append(e) }); werr != nil {
		l.log.Error("audit", "verb", verb, "object", object, "error", werr)
	}
}
