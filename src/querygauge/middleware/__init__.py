"""
Requests of web applications → scopes, named by method and route: pure ASGI and WSGI, no framework is imported.

Deliberately not here: what a scope is, and counting.
"""
