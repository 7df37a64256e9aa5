// Package sbom writes the bill of materials of an image as CycloneDX 1.6, from
// what its build noted: nothing is fetched, and equal images have equal bills.
package sbom

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/masu-lab/masu"
)

// Bill is the document; see https://cyclonedx.org/docs/1.6/json/.
type Bill struct {
	Schema     string      `json:"$schema"`
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Serial     string      `json:"serialNumber"`
	Version    int         `json:"version"`
	Metadata   Metadata    `json:"metadata"`
	Components []Component `json:"components"`
}

// Metadata says what the bill is about, and who wrote it.
type Metadata struct {
	Tools     Tools     `json:"tools"`
	Component Component `json:"component"`
}

// Tools are the programs that wrote the bill.
type Tools struct {
	Components []Component `json:"components"`
}

// Component is one part of the image.
type Component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref,omitempty"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	PURL    string `json:"purl,omitempty"`
	Hashes  []Hash `json:"hashes,omitempty"`
}

// Hash is of the file that a component came in.
type Hash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

// Of makes the bill of what an environment has. Program is masu's own version.
func Of(c masu.Contents, program string) Bill {
	text := c.Lock.Text()
	b := Bill{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6", Serial: serial(c.Image + "\n" + text), Version: 1,
		Metadata: Metadata{
			Tools:     Tools{Components: []Component{{Type: "application", Name: "masu", Version: program}}},
			Component: Component{Type: "container", Ref: "image", Name: c.Name, Version: c.Image},
		},
		Components: []Component{},
	}
	if c.Lock.Python != "" {
		b.Components = append(b.Components, Component{Type: "platform", Ref: "python", Name: "python", Version: c.Lock.Python})
	}
	distro := distribution(string(c.Lock.Image))
	for _, p := range c.Lock.Packages {
		part := Component{Type: "library", Name: p.Name, Version: p.Version}
		version := strings.ReplaceAll(url.PathEscape(p.Version), ":", "%3A")
		if p.From == masu.FromPip {
			part.PURL = "pkg:pypi/" + p.Name + "@" + version
		} else {
			part.PURL = "pkg:deb/" + distro + "/" + strings.ReplaceAll(p.Name, "+", "%2B") + "@" + version + "?arch=" + c.Lock.Arch
		}
		part.Ref = part.PURL
		if sum, ok := strings.CutPrefix(p.Hash, "sha256:"); ok {
			part.Hashes = []Hash{{"SHA-256", sum}}
		}
		b.Components = append(b.Components, part)
	}
	return b
}

// JSON writes the bill.
func (b Bill) JSON() []byte {
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return append(text, '\n')
}

// serial is a UUID of version 8, made of what the bill says.
func serial(text string) string {
	sum := sha256.Sum256([]byte(text))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	h := hex.EncodeToString(sum[:16])
	return fmt.Sprintf("urn:uuid:%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

// distribution guesses whose packages a base image has.
func distribution(base string) string {
	if strings.Contains(base, "ubuntu") || strings.Contains(base, "cuda") {
		return "ubuntu"
	}
	return "debian"
}
