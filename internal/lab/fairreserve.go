package lab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// reservedShown is how many reservations an error names.
const reservedShown = 5

// aSecond is in hours: thirds of an hour add up to a whole one.
const aSecond = 1.0 / 3600

// mayReserve keeps one member from reserving everything, by number and by GPU
// hours; teachers plan whole courses. all is how many GPUs there are.
func (s *service) mayReserve(taken []masu.Reservation, holder masu.Username, q masu.ReserveWish, all int) error {
	if s.teaches() {
		return nil
	}
	now, p := time.Now(), s.l.policy()
	own := slices.DeleteFunc(slices.Clone(taken), func(r masu.Reservation) bool { return r.Holder != holder || r.Missed })
	weeks := max(1, q.Weeks)
	if p.ReserveMost > 0 && len(own)+weeks > p.ReserveMost {
		return masu.E(masu.Full, "reserve_most", p.ReserveMost, len(own), reservedAs(own))
	}
	gpus := q.Want.Count
	if q.Want.All {
		gpus = all
	}
	asked, has := float64(weeks*gpus)*q.Until.Sub(q.From).Hours(), gpuHours(own, now)
	if most := p.ReserveGPUHours; most > 0 && has+asked > most+aSecond {
		return masu.E(masu.Full, "reserve_hours", tenths(most), tenths(has), tenths(asked), reservedAs(own))
	}
	return nil
}

// gpuHours sums up what of reservations is to come.
func gpuHours(list []masu.Reservation, now time.Time) (sum float64) {
	for _, r := range list {
		sum += float64(len(r.GPUs)) * max(0, r.Until.Sub(latest(r.From, now)).Hours())
	}
	return sum
}

// reservedAs tells which these are: "2 GPU 12-01 10:00–13:00".
func reservedAs(list []masu.Reservation) string {
	var all []string
	for _, r := range list[:min(len(list), reservedShown)] {
		from, until := r.From.Local(), r.Until.Local()
		end := "01-02 15:04"
		if from.YearDay() == until.YearDay() && until.Sub(from) < 24*time.Hour {
			end = "15:04"
		}
		all = append(all, fmt.Sprintf("%d GPU %s–%s", len(r.GPUs), from.Format("01-02 15:04"), until.Format(end)))
	}
	if len(list) > reservedShown {
		all = append(all, "…")
	}
	if len(all) == 0 {
		return "–"
	}
	return strings.Join(all, ", ")
}

// tenths writes a number as people read it: "12", "7.5".
func tenths(f float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
}
