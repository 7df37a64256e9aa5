package doctor

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"time"

	"github.com/masu-lab/masu"
)

// certSoon is how long before its end a certificate that nobody has renewed is a trouble.
const certSoon = 14 * 24 * time.Hour

// checkCertificate tells of the pages' certificate before browsers do.
func checkCertificate(_ context.Context, e *exam) []masu.Finding {
	if e.CertFile == "" {
		return nil
	}
	b, err := os.ReadFile(e.path(e.CertFile))
	if err != nil {
		return one(masu.Fail, "cert_unread", e.CertFile)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return one(masu.Fail, "cert_unread", e.CertFile)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return one(masu.Fail, "cert_unread", e.CertFile)
	}
	now, _ := e.Now()
	switch end := cert.NotAfter.Local().Format("2006-01-02"); {
	case now.After(cert.NotAfter):
		return one(masu.Fail, "cert_ended", e.CertFile, end)
	case now.Add(certSoon).After(cert.NotAfter):
		return one(masu.Warn, "cert_ends", e.CertFile, end)
	default:
		return one(masu.Good, "cert_ok", end)
	}
}
