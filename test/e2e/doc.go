// Package e2e tests masu as its users meet it: the built binary on a real
// engine, members with accounts of the host, and a real browser.
package e2e
