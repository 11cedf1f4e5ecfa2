"""The emulated internet: a few web sites of this machine's, so that `image_url` works end to end without a network.

`sites` says what they are called and how the hostile one behaves, `server` serves them over real TLS on the loopback.
The product knows nothing of it: `worker/sitecustomize.py`, which Python loads at the start of every Lambda worker,
makes the system's resolver answer a public address for their names, and leads connections to that address to the
server. URLs, addresses, redirects and certificates are judged as on AWS.
"""
