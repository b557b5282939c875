"""The WSGI application that gunicorn serves."""

import gc
import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "triage.settings")

application = get_wsgi_application()
# What every process needs is loaded before there are several; no full collection of garbage, which takes 0.2 s for
# this alone, looks through it again.
import_module(settings.ROOT_URLCONF)
gc.freeze()
