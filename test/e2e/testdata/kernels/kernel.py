"""Runs what stands on each line in one of this Python's kernels, and answers what came of it."""
import json
import sys

from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name=sys.argv[1])
for line in sys.stdin:
    said = []

    def keep(message):
        content = message["content"]
        said.append(content.get("text") or content.get("data", {}).get("text/plain", ""))

    client.execute_interactive(json.loads(line), output_hook=keep)
    print(json.dumps("".join(said)), flush=True)
client.stop_channels()
manager.shutdown_kernel(now=True)
