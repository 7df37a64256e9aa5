package move

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/masu-lab/masu"
)

// journal is how far a move to one target came. A volume there that does not
// stand in it was made by somebody else, and is not written over.
type journal struct {
	At    string                         `json:"at"`
	Begun map[masu.WorkspaceID]time.Time `json:"begun"`
	Done  map[masu.WorkspaceID]time.Time `json:"done"`
}

func readJournal(file, at string) (j journal, err error) {
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &j)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return j, masu.E(masu.Invalid, "move_journal", file).Because(err)
	}
	if j.At != at {
		j = journal{At: at}
	}
	if j.Begun == nil {
		j.Begun = map[masu.WorkspaceID]time.Time{}
	}
	if j.Done == nil {
		j.Done = map[masu.WorkspaceID]time.Time{}
	}
	return j, nil
}

// write keeps it at once or not at all.
func (j journal) write(file string) error {
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), "migrate-")
	if err != nil {
		return fmt.Errorf("move: journal: %w", err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("move: journal: %w", err)
	}
	return nil
}
