package notebook

import "strings"

// textMost bounds what one stream of a cell keeps, in bytes; its whole text is in the run's log.
const textMost = 8 << 20

// screen is printed text as a terminal would show it: what a progress bar has
// overwritten is gone, so that a night of them does not fill the notebook.
type screen struct {
	done  strings.Builder // lines that nothing can change any more
	line  []rune
	rests string // the line while nothing is printed: a quarter of what it takes as runes
	at    int    // where the next rune goes in line
	full  bool
}

func (s *screen) print(text string) {
	if s.rests != "" {
		s.line, s.rests = []rune(s.rests), ""
	}
	if s.at == len(s.line) && !s.full && s.done.Len()+len(s.line)+len(text) <= textMost && !strings.ContainsAny(text, "\r\b") {
		s.add(text)
		return
	}
	for _, r := range text {
		if s.full {
			return
		}
		switch {
		case r == '\n':
			s.done.WriteString(string(s.line))
			s.done.WriteByte('\n')
			s.line, s.at = s.line[:0], 0
		case r == '\r':
			s.at = 0
		case r == '\b':
			s.at = max(0, s.at-1)
		case s.at < len(s.line):
			s.line[s.at] = r
			s.at++
		default:
			s.line = append(s.line, r)
			s.at++
		}
		if s.done.Len()+len(s.line) > textMost {
			s.full = true
			s.line = append(s.line, []rune("\n…\n")...)
		}
	}
}

// add is print of text that overwrites nothing, as most is.
func (s *screen) add(text string) {
	if i := strings.LastIndexByte(text, '\n') + 1; i > 0 {
		s.done.WriteString(string(s.line))
		s.done.WriteString(text[:i])
		s.line, text = s.line[:0], text[i:]
	}
	s.line = append(s.line, []rune(text)...)
	s.at = len(s.line)
}

// rest is for after a print that may have been the last.
func (s *screen) rest() { s.line, s.rests = nil, s.rests+string(s.line) }

func (s *screen) String() string { return s.done.String() + s.rests + string(s.line) }
