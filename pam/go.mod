module github.com/masu-lab/masu/pam

go 1.26
