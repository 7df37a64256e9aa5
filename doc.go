// Package masu is the dictionary of masu (枡): the nouns of a lab that shares
// a GPU server, and the contracts between the parts that serve it. It does no
// I/O, starts no goroutine and imports the standard library only; a newcomer
// who has read this package knows every word the rest of the code uses.
//
// A member opens a page and presses Start. A door tells who they are (Gate),
// the lab answers what they may do (Service), an environment becomes an image
// (Builder), a box runs it (Runner), and what must be remembered is kept (Store).
package masu
