// Package masutest holds the suites that every implementation of masu's
// contracts passes (Runtime, Store, Service), and honest fakes that pass them
// too, so that a test which uses a fake is not lied to.
package masutest
