# Jupyter's settings. masu wrote this file once; it is yours to edit. If masu
# has a newer one and you have not edited yours, yours becomes
# jupyter_notebook_config.py.old.
#
# The Jupyter that masu starts for you is set up already. These settings are
# for one that you start by hand in a terminal. It needs no password of its
# own: it listens inside the box only, and masu's sign-in is the way there.

c = get_config()  # noqa: F821 (Jupyter provides it)

c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port = 8888
c.ServerApp.open_browser = False
c.ServerApp.allow_remote_access = True
c.ServerApp.password = ""
c.IdentityProvider.token = ""
