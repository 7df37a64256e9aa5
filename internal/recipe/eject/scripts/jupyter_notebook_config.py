# Jupyter's settings. scripts/set_passwd.sh writes a new one and keeps this as .old.
c = get_config()  # noqa: F821 (Jupyter provides it)

# The password's hash. Without one Jupyter asks for the token that it prints when it starts.
password = ""

# One name for JupyterLab and Notebook 7, the other for Notebook 6.
for app in (c.ServerApp, c.NotebookApp):
    app.ip = "0.0.0.0"  # inside the container; compose.yml says who reaches it
    app.port = 8888
    app.open_browser = False
    if password:
        app.password = password
