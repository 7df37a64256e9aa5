package lab

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"

	"github.com/masu-lab/masu"
)

const maxPassword = 1 << 10 // bytes; more is refused before it costs anything

// Parameters of argon2id, the first that OWASP's password storage cheat sheet names.
const (
	argonTime   = 2
	argonMemory = 19 << 10 // KiB
	argonLanes  = 1
	argonKey    = 32
)

// hasher makes and checks argon2id hashes, two at a time: each takes 19 MiB.
type hasher struct {
	room  *semaphore.Weighted
	decoy string // for accounts without a password: the same work for them
}

// newHasher costs no hash: the decoy's key is as random as its salt, so no password has it.
func newHasher() *hasher {
	return &hasher{room: semaphore.NewWeighted(2), decoy: written(random(16), random(argonKey))}
}

func phc(password string) string {
	salt := random(16)
	return written(salt, argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, argonKey))
}

// written is a hash as the PHC string format has it.
func written(salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

func (h *hasher) make(ctx context.Context, password string) (string, error) {
	if err := h.room.Acquire(ctx, 1); err != nil {
		return "", err
	}
	defer h.room.Release(1)
	return phc(password), nil
}

func (h *hasher) check(ctx context.Context, stored, password string) (bool, error) {
	if len(password) > maxPassword {
		return false, nil
	}
	if err := h.room.Acquire(ctx, 1); err != nil {
		return false, err
	}
	defer h.room.Release(1)
	known := stored != ""
	if !known {
		stored = h.decoy
	}
	return matches(stored, password) && known, nil
}

func matches(stored, password string) bool {
	f := strings.Split(stored, "$")
	var version, memory, passes, lanes int
	if len(f) != 6 || f[1] != "argon2id" {
		return false
	}
	if _, err := fmt.Sscanf(f[2]+" "+f[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &lanes); err != nil || version != argon2.Version {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(f[4])
	key, err2 := base64.RawStdEncoding.DecodeString(f[5])
	if err1 != nil || err2 != nil || len(key) == 0 {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, uint32(passes), uint32(memory), uint8(lanes), uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1
}

// SetPassword sets the actor's own.
func (s *service) SetPassword(ctx context.Context, password string) (err error) {
	defer func() { s.l.record(ctx, s.actor, "passwd", string(s.actor.Name), err) }()
	return s.l.setPassword(ctx, s.actor.Name, password)
}

// setPassword keeps the hash of a good password; "" means that none signs in.
func (l *Lab) setPassword(ctx context.Context, name masu.Username, password string) error {
	hash := ""
	switch n := utf8.RuneCountInString(password); {
	case password == "":
	case strings.TrimSpace(password) == "":
		return masu.E(masu.Invalid, "password_blank")
	case n < l.policy().MinPassword:
		return masu.E(masu.Invalid, "password_short", l.policy().MinPassword)
	case len(password) > maxPassword:
		return masu.E(masu.Invalid, "password_long", maxPassword)
	case strings.ContainsRune(password, 0):
		return masu.E(masu.Invalid, "password_blank")
	default:
		var err error
		if hash, err = l.gate.hash.make(ctx, password); err != nil {
			return err
		}
	}
	return l.member(ctx, name, func(m *masu.Member) { m.Password, m.SetAt = hash, time.Now() })
}
