// Package archive looks into the archives in which engines save images, while
// they pass through: whoever brings one says what is in it, but not what it is called.
package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/masu-lab/masu"
)

const (
	smallMost   = 4 << 20 // bytes of a file that may be the image's description
	smallTotal  = 32 << 20
	entriesMost = 5000
)

var (
	layerFile = regexp.MustCompile(`^[0-9a-f]{64}/layer\.tar$`)
	sameLayer = regexp.MustCompile(`^\.\./[0-9a-f]{64}/layer\.tar$`)
)

// Config is the description of an image, as far as it matters here.
type Config struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Config       struct {
		Labels map[string]string `json:"Labels"`
	} `json:"config"`
}

type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// Pass copies an archive of one image. The names in it are left out; in their
// place comes the one that name gives for the image's description, or its error
// ends the copy. What comes out ends well only if all of it was right: Invalid
// "image_damaged" for one that is cut off or changed, "image_foreign" for what is no image.
func Pass(in io.Reader, out io.Writer, name func(Config) (masu.ImageRef, error)) error {
	p := passing{in: tar.NewReader(in), out: tar.NewWriter(out), small: map[string][]byte{}}
	if err := p.entries(); err != nil {
		return err
	}
	m, c, err := p.described()
	if err != nil {
		return err
	}
	ref, err := name(c)
	if err != nil {
		return err
	}
	m.RepoTags = []string{string(ref)}
	b, err := json.Marshal([]manifest{m})
	if err != nil {
		return err
	}
	if err := p.write(&tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Mode: 0o644, Size: int64(len(b))}, bytes.NewReader(b)); err != nil {
		return err
	}
	return p.out.Close()
}

type passing struct {
	in    *tar.Reader
	out   *tar.Writer
	small map[string][]byte // files that may describe the image, the first bytes of layers apart
	kept  int
	seen  map[string]bool
	blobs bool // there was a file as engines name them
}

// entries passes on everything but what gives the image a name.
func (p *passing) entries() error {
	p.seen = map[string]bool{}
	for n := 0; ; n++ {
		h, err := p.in.Next()
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return masu.E(masu.Invalid, "image_foreign")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && n == 0 && (errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF)):
			return masu.E(masu.Invalid, "image_foreign").Because(err)
		case err != nil:
			return damaged(err)
		case n >= entriesMost:
			return masu.E(masu.Invalid, "image_foreign")
		}
		if err := p.entry(h); err != nil {
			return err
		}
	}
}

func (p *passing) entry(h *tar.Header) error {
	file := path.Clean(h.Name)
	switch {
	case h.Typeflag == tar.TypeDir:
		return p.write(&tar.Header{Typeflag: tar.TypeDir, Name: file + "/", Mode: 0o755}, nil)
	case sparse(h): // its holes would come out as zeros: a few bytes become any number
		return masu.E(masu.Invalid, "image_foreign")
	case h.Typeflag == tar.TypeSymlink && layerFile.MatchString(file) && sameLayer.MatchString(h.Linkname): // older engines: a layer twice
		return p.write(&tar.Header{Typeflag: tar.TypeSymlink, Name: file, Linkname: h.Linkname, Mode: 0o777}, nil)
	case h.Typeflag != tar.TypeReg || path.IsAbs(file) || strings.HasPrefix(file, "../") || p.seen[file]:
		return masu.E(masu.Invalid, "image_foreign")
	}
	p.seen[file] = true
	body := io.Reader(p.in)
	if h.Size <= smallMost && p.kept < smallTotal {
		b, err := io.ReadAll(body)
		if err != nil {
			return damaged(err)
		}
		body = bytes.NewReader(b)
		if bytes.HasPrefix(b, []byte("{")) || bytes.HasPrefix(b, []byte("[")) {
			p.small[file] = b
			p.kept += len(b)
		}
	}
	switch file {
	case "manifest.json", "repositories", "index.json", "oci-layout":
		return nil // another manifest comes at the end
	}
	var sum hash.Hash
	digest, blob := strings.CutPrefix(file, "blobs/sha256/")
	if blob {
		p.blobs = true
		sum = sha256.New()
		body = io.TeeReader(body, sum)
	}
	if err := p.write(&tar.Header{Typeflag: tar.TypeReg, Name: file, Mode: 0o644, Size: h.Size}, body); err != nil {
		return err
	}
	if blob && hex.EncodeToString(sum.Sum(nil)) != digest {
		return masu.E(masu.Invalid, "image_damaged")
	}
	return nil
}

// sparse tells whether a file is larger than what stands of it in the archive.
func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func (p *passing) write(h *tar.Header, body io.Reader) error {
	if err := p.out.WriteHeader(h); err != nil {
		return err
	}
	if body == nil {
		return nil
	}
	from := &remembering{Reader: body}
	if _, err := io.Copy(p.out, from); from.err != nil {
		return damaged(from.err)
	} else if err != nil {
		return err
	}
	return nil
}

// described finds the image's description by its manifest.
func (p *passing) described() (m manifest, c Config, err error) {
	var all []manifest
	foreign := masu.E(masu.Invalid, "image_foreign")
	if _, ok := p.small["manifest.json"]; !ok && p.blobs {
		return m, c, masu.E(masu.Invalid, "image_damaged") // cut off between two files
	}
	if json.Unmarshal(p.small["manifest.json"], &all) != nil || len(all) != 1 {
		return m, c, foreign
	}
	m = all[0]
	text := p.small[path.Clean(m.Config)]
	if json.Unmarshal(text, &c) != nil || len(m.Layers) == 0 {
		return m, c, foreign
	}
	sum := sha256.Sum256(text)
	if base := strings.TrimPrefix(strings.TrimSuffix(path.Base(m.Config), ".json"), "sha256:"); base != hex.EncodeToString(sum[:]) {
		return m, c, masu.E(masu.Invalid, "image_damaged")
	}
	return m, c, nil
}

// remembering keeps a reader's error apart from the writer's.
type remembering struct {
	io.Reader
	err error
}

// Read passes on.
func (r *remembering) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// damaged is what a bad archive's end means, unless its reader has said something better.
func damaged(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader) {
		return masu.E(masu.Invalid, "image_damaged").Because(err)
	}
	return err
}
