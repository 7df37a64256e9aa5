// Command masu-pam asks the host's PAM whether a password is right. It is a
// program of its own, so that masu itself stays free of C: masu starts it with
// the name and the password as two lines on its standard input.
//
// It exits with 0 if PAM says yes, 1 if it says no, and 2 with the reason on
// standard error if it could not be asked.
package main

/*
#cgo LDFLAGS: -lpam
#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>

// talk answers every question that is not to be shown with the password, and
// no other: there is nobody to ask.
static int talk(int n, const struct pam_message **asked, struct pam_response **answers, void *password) {
	if (n <= 0 || n > PAM_MAX_NUM_MSG) return PAM_CONV_ERR;
	struct pam_response *all = calloc(n, sizeof *all);
	if (!all) return PAM_BUF_ERR;
	for (int i = 0; i < n; i++) {
		switch (asked[i]->msg_style) {
		case PAM_PROMPT_ECHO_OFF:
			all[i].resp = strdup(password);
			if (all[i].resp) break;
			// fall through
		case PAM_PROMPT_ECHO_ON:
			for (int j = 0; j < i; j++) free(all[j].resp);
			free(all);
			return PAM_CONV_ERR;
		}
	}
	*answers = all;
	return PAM_SUCCESS;
}

// ask gives PAM's word on a password and on the account behind it.
static int ask(const char *service, const char *name, char *password, int *began) {
	struct pam_conv conv = { talk, password };
	pam_handle_t *h = NULL;
	int r = pam_start(service, name, &conv, &h);
	*began = r == PAM_SUCCESS;
	if (!*began) return r;
	r = pam_authenticate(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (r == PAM_SUCCESS) r = pam_acct_mgmt(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	pam_end(h, r);
	return r;
}
*/
import "C"

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unsafe"
)

const (
	yes = iota
	no
	trouble
)

// most bounds what is read, in bytes.
const most = 4 << 10

func main() {
	service := "masu"
	if len(os.Args) > 1 {
		service = os.Args[1]
	}
	code, err := check(service, os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "masu-pam:", err)
	}
	os.Exit(code)
}

// check asks PAM about the name and the password that in holds.
func check(service string, in io.Reader) (int, error) {
	r := bufio.NewReader(io.LimitReader(in, most))
	name, err := r.ReadString('\n')
	if err != nil {
		return trouble, errors.New("no name on standard input")
	}
	password, err := r.ReadString('\n')
	if err != nil {
		return trouble, errors.New("no password on standard input")
	}
	name, password = strings.TrimSuffix(name, "\n"), strings.TrimSuffix(password, "\n")
	if name == "" || password == "" || strings.ContainsRune(name+password, 0) {
		return no, nil
	}
	cService, cName, cPassword := C.CString(service), C.CString(name), C.CString(password)
	defer func() {
		C.memset(unsafe.Pointer(cPassword), 0, C.size_t(len(password)))
		for _, p := range []*C.char{cService, cName, cPassword} {
			C.free(unsafe.Pointer(p))
		}
	}()
	var began C.int
	switch result := C.ask(cService, cName, cPassword, &began); {
	case result == C.PAM_SUCCESS:
		return yes, nil
	case began == 0 || result == C.PAM_SYSTEM_ERR || result == C.PAM_ABORT || result == C.PAM_BUF_ERR:
		return trouble, fmt.Errorf("PAM failed with %d", int(result))
	}
	return no, nil
}
