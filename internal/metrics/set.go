package metrics

import "github.com/masu-lab/masu"

// Set is what masu counts from the daemon's start on.
type Set struct {
	Starts   *Histogram // of workspaces, by Outcome and whether their image was built for it
	Builds   *Histogram // of images, by Outcome
	Waits    *Histogram // for GPUs that were then lent
	Reclaims *Counter   // of GPUs, by reason
	SignIns  *Counter   // that failed, by the way
	Requests *Histogram // to the pages, apps and the API, by Class and status
}

// Outcomes of starts and builds.
const (
	OK      = "ok"
	Failed  = "failed"
	Stopped = "stopped" // by who asked for it
)

// What a start found of its image.
const (
	ImageReady = "ready"
	ImageBuilt = "built"
)

// Ways in, where a sign-in can fail.
const (
	ByPassword = "password"
	TooOften   = "too_often"
	ByService  = "service" // the university's
	ByLink     = "link"
	ByToken    = "token"
)

// Classes of requests.
const (
	Page   = "page"
	App    = "app"
	API    = "api"
	Health = "health"
	Stream = "stream"  // goes on for as long as somebody looks: its duration is theirs
	Other  = "unknown" // a host name that is not ours
)

// New makes one in which nothing has happened yet.
func New() *Set {
	var outcomes, starts [][]string
	for _, o := range []string{OK, Failed, Stopped} {
		outcomes = append(outcomes, []string{o})
		starts = append(starts, []string{o, ImageReady}, []string{o, ImageBuilt})
	}
	var reasons []string
	for _, r := range []masu.EndReason{masu.EndTime, masu.EndIdle, masu.EndReserved, masu.EndLost, masu.EndMemory, masu.EndUnclaimed} {
		reasons = append(reasons, string(r))
	}
	return &Set{
		Starts: newHistogram("masu_start_duration_seconds", "From the wish for a workspace until it runs, without the wait for GPUs.",
			[]float64{.25, .5, 1, 2, 5, 10, 30, 60, 300, 900, 3600}, []string{"outcome", "image"}, starts...),
		Builds: newHistogram("masu_build_duration_seconds", "Builds of images, from their turn on.",
			[]float64{1, 5, 15, 30, 60, 120, 300, 600, 1200, 3600, 7200}, []string{"outcome"}, outcomes...),
		Waits: newHistogram("masu_gpu_wait_seconds", "Waits for GPUs that ended with being lent them.",
			[]float64{1, 60, 300, 900, 1800, 3600, 2 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 72 * 3600, 168 * 3600}, nil, nil),
		Reclaims: newCounter("masu_gpu_reclaims_total", "Leases whose GPUs were taken back, and not given back.", "reason", reasons...),
		SignIns:  newCounter("masu_signin_failures_total", "Sign-ins that failed.", "way", ByPassword, TooOften, ByService, ByLink, ByToken),
		Requests: newHistogram("masu_http_request_duration_seconds", "Requests to the pages, the apps and the API.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}, []string{"class", "code"}),
	}
}

// Write adds all of it to a text.
func (s *Set) Write(t *Text) {
	for _, m := range []interface{ write(*Text) }{s.Starts, s.Builds, s.Waits, s.Reclaims, s.SignIns, s.Requests} {
		m.write(t)
	}
}
