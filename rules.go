package masu

import "reflect"

// Rules are house rules that an admin sets while the lab runs, over those of
// the configuration. nil stays as configured. HouseRules describes each.
type Rules struct {
	Sudo          *bool    `json:"sudo,omitempty"`           // in boxes that start from now on
	OwnDockerfile *bool    `json:"own_dockerfile,omitempty"` // members may bring a Dockerfile of their own
	Guests        *bool    `json:"guests,omitempty"`         // members may open their workspaces to others
	ShareApps     *Reach   `json:"share_apps,omitempty"`     // how far members may share single apps
	PublicBoard   *bool    `json:"public_board,omitempty"`   // who has not signed in sees the GPUs, who holds them and who waits
	Workspaces    *int     `json:"workspaces,omitempty"`     // of each member, at most; 0 means as many as they like
	Runs          *int     `json:"runs,omitempty"`           // of each member that go at once, the others wait in line; 0 means all
	CPUs          *float64 `json:"cpus,omitempty"`           // of each box, at most; 0 means as the host allows
	Memory        *Bytes   `json:"memory,omitempty"`         // of each box, at most; 0 means as the host allows
	Disk          *Bytes   `json:"disk,omitempty"`           // of each workspace beside its project folder, at most; 0 means as much as there is
	Images        *Bytes   `json:"images,omitempty"`         // built environments that one member may keep; 0 means as much as there is

	GPUs            *int     `json:"gpus,omitempty"`               // that one member may hold; 0 means as many as there are
	GPUHours        *float64 `json:"gpu_hours,omitempty"`          // for which a holder may count on them; 0 means without end
	GPUMostHours    *float64 `json:"gpu_most_hours,omitempty"`     // to which that can be extended in all; 0 means without end
	GPUGraceMinutes *float64 `json:"gpu_grace_minutes,omitempty"`  // between telling that they will be taken back and doing it
	GPUIdleHours    *float64 `json:"gpu_idle_hours,omitempty"`     // after which they go back if nothing uses them and somebody waits; 0 means never
	GPUIdleAlways   *bool    `json:"gpu_idle_always,omitempty"`    // also while nobody waits
	GPUKeeps        *int     `json:"gpu_keeps,omitempty"`          // how often a holder may say that they are needed which nothing uses; 0 means as often as they like
	GPUHalfLifeDays *float64 `json:"gpu_half_life_days,omitempty"` // in which half of what a member got is forgotten; 0 means at once
	GPUAging        *float64 `json:"gpu_aging,omitempty"`          // GPU hours of others that an hour of waiting makes good

	ReserveDays          *float64 `json:"reserve_days,omitempty"`            // how far ahead GPUs can be reserved; 0 means not at all
	ReserveMost          *int     `json:"reserve_most,omitempty"`            // reservations of one member that are to come; 0 means any
	ReserveGPUHours      *float64 `json:"reserve_gpu_hours,omitempty"`       // of these in all; 0 means any
	ReserveNoticeMinutes *float64 `json:"reserve_notice_minutes,omitempty"`  // before one begins, who holds its GPUs is told
	ReserveNoShowMinutes *float64 `json:"reserve_no_show_minutes,omitempty"` // after which one that nobody uses is over
	ReserveSlotMinutes   *float64 `json:"reserve_slot_minutes,omitempty"`    // the shortest gap before one that is lent without a time limit
}

// Over gives r where it says something, and below where it does not.
func (r Rules) Over(below Rules) Rules {
	over, under := reflect.ValueOf(&r).Elem(), reflect.ValueOf(below)
	for i := range over.NumField() {
		if over.Field(i).IsNil() {
			over.Field(i).Set(under.Field(i))
		}
	}
	return r
}

// Check refuses values that no rule can have: Invalid "rules_wrong", with the
// rule's name, the value, and what it takes.
func (r Rules) Check() error {
	for _, rule := range HouseRules() {
		if !rule.fits(r) {
			return rule.wrong(rule.Text(r))
		}
	}
	return nil
}

// RulesNow is what holds, and where it comes from.
type RulesNow struct {
	Configured Rules `json:"configured"` // every field is said
	Set        Rules `json:"set"`
}
