# hashes.py REPORT NOTES LOCK: adds what pip fetched to NOTES, and refuses what LOCK knows under another hash.
import json, os, re, sys

report, notes, lock = sys.argv[1:]
want = {}
if os.path.exists(lock):
    with open(lock) as f:
        want = {tuple(line.split()[:2]): line.split()[2] for line in f}
with open(report) as f:
    done = json.load(f)["install"]
with open(notes, "a") as out:
    for item in done:
        meta = item["metadata"]
        key = (re.sub(r"[-_.]+", "-", meta["name"]).lower(), meta["version"])
        info = item.get("download_info", {}).get("archive_info", {})
        value = info.get("hashes", {}).get("sha256")
        if not value:
            continue
        if want.get(key, "sha256:" + value) != "sha256:" + value:
            sys.exit("lock: pip %s %s is another file" % key)
        print(*key, "sha256:" + value, file=out)
