package agent

import (
	"strings"

	"github.com/masu-lab/masu"
)

// words are what the agent says to the member inside the box. They stand here
// and not in the catalogue because the agent carries no more than it needs.
type words struct {
	ask, again, first, second string
	differ, cleared, tries    string
	short, long, silent, fail string
	sudoOff, sudoDo           string
	gpuLost, gpuBack          string
	reasons                   map[string]string
	readme                    string
}

// noSudo is what is shown instead of running sudo. why is a sentence, or a code that is known here.
func (w words) noSudo(why string) string {
	if sentence, known := w.reasons[why]; known {
		why = sentence
	}
	lines := []string{"sudo: " + w.sudoOff}
	if why != "" {
		lines = append(lines, strings.ReplaceAll(why, "\n", " "))
	}
	return strings.Join(append(lines, w.sudoDo), "\n")
}

// refusal is why the daemon did not take a password.
func (w words) refusal(code string) string {
	switch code {
	case "password_short":
		return w.short
	case "password_long":
		return w.long
	case "password_unanswered":
		return w.silent
	}
	return w.fail
}

// gpu is for the log of a box that has lost its GPUs, or has them again.
func (w words) gpu(lost bool) string {
	if lost {
		return w.gpuLost
	}
	return w.gpuBack
}

func wordsIn(lang masu.Lang) words {
	if lang == masu.Japanese {
		return japanese()
	}
	return english()
}

func english() words {
	return words{
		ask:     "Set the password with which you sign in to masu (Enter twice: no password; sign in by link or ssh).",
		first:   "New password: ",
		second:  "Once more: ",
		again:   "Please try again.",
		differ:  "The two do not match.",
		cleared: "You have no password now: sign in with masu open, or by ssh.",
		tries:   "Run the script again when you are ready.",
		short:   "That is too short: 8 characters or more, please.",
		long:    "That is too long.",
		silent:  "masu does not answer. Try again in a moment, or run masu passwd on the host.",
		fail:    "masu did not take it. Try again, or run masu passwd on the host.",
		sudoOff: "is off in this box.",
		sudoDo:  "To add a package for good, write it in masu.yaml (apt: or pip:) and run masu up; pip install works without sudo.",
		gpuLost: "this box has lost its GPU: programs that begin now do not find it. Restart it.",
		gpuBack: "this box has its GPU again.",
		reasons: map[string]string{
			"stage_no_idmap_fs":     "The file system of your project folder (NFS, for example) cannot keep root in the box from being root on the host.",
			"stage_no_idmap_kernel": "The host's kernel is too old to keep root in the box from being root on the host.",
			"stage_no_userns":       "The host allows no user namespaces, which keep root in the box from being root on the host.",
		},
		readme: `# This box

- Your project folder on the host is ~/work. Files there are yours, here and on the host.
- The rest of your home is kept when the box stops; programs that you add with
  sudo apt are not. Write those in masu.yaml (apt:, pip:) and run masu up.
- In ~/work even root can only write what is yours. If a program says "Value too
  large for defined data type" (EOVERFLOW) or "Operation not permitted" there,
  it ran as root: run it without sudo.
- ./scripts/set_passwd.sh sets the password with which you sign in to masu.
- A web program that you start here on 127.0.0.1 (port 1024 or above) appears on
  your workspace's page by itself.
`,
	}
}

func japanese() words {
	return words{
		ask:     "masu にサインインするパスワードを設定します（Enter を2回押すとパスワードなし。リンクか ssh でサインインします）。",
		first:   "新しいパスワード: ",
		second:  "もう一度: ",
		again:   "もう一度お試しください。",
		differ:  "2つが一致しません。",
		cleared: "パスワードはなくなりました。masu open か ssh でサインインしてください。",
		tries:   "準備ができたら、もう一度スクリプトを実行してください。",
		short:   "短すぎます。8文字以上にしてください。",
		long:    "長すぎます。",
		silent:  "masu が応答しません。少し待ってやり直すか、ホストで masu passwd を実行してください。",
		fail:    "設定できませんでした。やり直すか、ホストで masu passwd を実行してください。",
		sudoOff: "この箱では使えません。",
		sudoDo:  "パッケージは masu.yaml（apt: または pip:）に書いて masu up を実行すると追加できます。pip install は sudo なしで使えます。",
		gpuLost: "この箱から GPU が使えなくなりました。これから始めるプログラムには GPU が見えません。再起動してください。",
		gpuBack: "この箱で GPU がまた使えるようになりました。",
		reasons: map[string]string{
			"stage_no_idmap_fs":     "プロジェクトのフォルダーがあるファイルシステム（NFS など）では、箱の中の root をホストの root と区別できないためです。",
			"stage_no_idmap_kernel": "ホストのカーネルが古く、箱の中の root をホストの root と区別できないためです。",
			"stage_no_userns":       "ホストでユーザー名前空間が無効なため、箱の中の root をホストの root と区別できません。",
		},
		readme: `# この箱について

- ~/work はホストにあるプロジェクトのフォルダーです。ここのファイルは、箱の中でもホストでもあなたのものです。
- ホームのほかのファイルも、箱を停止しても残ります。sudo apt で入れたプログラムは残りません。
  masu.yaml（apt:、pip:）に書いて masu up を実行してください。
- ~/work では、root もあなたのファイルしか作れません。「Value too large for defined data type」（EOVERFLOW）や
  「Operation not permitted」と出たら、root で動いています。sudo を付けずに実行してください。
- ./scripts/set_passwd.sh で、masu にサインインするパスワードを設定できます。
- 箱の中で 127.0.0.1 の 1024 番以上のポートで始めた Web プログラムは、ワークスペースのページに自動で現れます。
`,
	}
}
