# record.py HASHES: the Python and its packages, those apart that are the distribution's.
import os, platform, re, sys

try:
    from importlib.metadata import distributions
except ImportError:  # before 3.8
    distributions = None

hashes = {}
if os.path.exists(sys.argv[1]):
    with open(sys.argv[1]) as f:
        hashes = {tuple(line.split()[:2]): line.split()[2] for line in f}
found = {}
if distributions:
    for d in distributions():
        if not str(d.locate_file("")).rstrip("/").endswith("/dist-packages") or "/local/" in str(d.locate_file("")):
            found.setdefault(d.metadata["Name"], d.version)
else:
    import pkg_resources

    for d in pkg_resources.working_set:
        if "/usr/lib/python3/dist-packages" not in d.location:
            found.setdefault(d.project_name, d.version)
print("python", platform.python_version())
seen = set()
for name, version in sorted((n, v) for n, v in found.items() if n and v):
    name = re.sub(r"[-_.]+", "-", name).lower()
    if name not in seen:
        seen.add(name)
        print("pip", name, version, hashes.get((name, version), ""))
