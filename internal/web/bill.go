package web

import (
	"net/http"

	"github.com/masu-lab/masu/internal/sbom"
)

// bill gives the bill of materials of a workspace's image, to be kept.
func (s *Server) bill(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, err := v.service.Contents(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	hello, err := v.hello(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/vnd.cyclonedx+json; version=1.6")
	w.Header().Set("Content-Disposition", `attachment; filename="bom.cdx.json"`)
	_, err = w.Write(sbom.Of(c, hello.Version).JSON())
	return err
}
