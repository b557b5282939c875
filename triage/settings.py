"""Settings, read from the environment. Without any, this is embedded mode: SQLite and a Valkey of our own in DATA_DIR.

Every variable is described in `.env.example`. A secret NAME may come from a file named by NAME_FILE instead.
"""

from ipaddress import ip_network
from pathlib import Path
from urllib.parse import quote

from django.utils.csp import CSP
from environs import FileAwareEnv, validate

from triage import keys, valkey

BASE_DIR = Path(__file__).resolve().parent.parent

env = FileAwareEnv()
env.read_env(BASE_DIR / ".env", recurse=False)

# Where this installation keeps what it makes itself
DATA_DIR = env.path("DATA_DIR", default=BASE_DIR / ".data").resolve()
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
SERVED_OVER_HTTPS = PUBLIC_URL.startswith("https://")

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or keys.secret_key(DATA_DIR)
# The first encrypts; all decrypt, so a new key goes in front (manage.py rotate_credentials)
CREDENTIAL_KEYS = env.list("CREDENTIAL_KEYS", default=[]) or [keys.credential_key(DATA_DIR)]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_htmx",
    "alerts",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "alerts.views.hosts.KnownHosts",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "alerts.views.login.LoginRequired",
]
ROOT_URLCONF = "triage.urls"
WSGI_APPLICATION = "triage.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "alerts.views.bar.context",
            ],
        },
    },
]

# Database
DATABASES = {"default": env.dj_db_url("DATABASE_URL", default=f"sqlite:///{quote(f'{DATA_DIR}/rolecall.sqlite3')}")}
# A connection is kept: to open one takes longer than to store a batch, and the last of SQLite to close empties the WAL.
DATABASES["default"] |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE: a transaction that reads first and writes later would fail at once instead of waiting its turn.
    # FULL: what was answered with 200 survives a power cut.
    # TEST: each process that runs tests has a database of its own, as Django's own SQLite would have it.
    DATABASES["default"] |= {"ENGINE": "triage.sqlite", "TEST": {"NAME": ":memory:"}}
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }

# Background work
VALKEY_SOCKET = valkey.socket(DATA_DIR)
CELERY_BROKER_URL = env.str("BROKER_URL", default="") or f"redis+socket://{VALKEY_SOCKET}?virtual_host=0"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# What somebody waits for does not stand in line behind what can wait: a worker takes from both in turn.
CELERY_TASK_DEFAULT_EXCHANGE, CELERY_TASK_DEFAULT_QUEUE = "rolecall", "patient"
CELERY_TASK_QUEUES: dict[str, dict[str, str]] = {"prompt": {}, "patient": {}}
CELERY_TASK_ROUTES = {
    f"alerts.tasks.{name}": {"queue": "prompt"}
    for name in ("examine_inbox", "sweep", "run_revocation", "undo_revocation")
}
# A wake-up that cannot be sent at once is dropped: the sweep finds the row.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "unacked_restore_interval": 5,
    "socket_timeout": 5,
    "socket_connect_timeout": 1,
    "max_retries": 0,
}
# In memory: there is nothing to remember between starts, and no file for two processes to spoil.
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "alerts.tasks.sweep", "schedule": 10.0},
    "purge": {"task": "alerts.tasks.purge", "schedule": 3600.0},
    "inventory": {"task": "alerts.tasks.refresh_inventories", "schedule": 300.0},
    "streams": {"task": "alerts.tasks.watch_streams", "schedule": 60.0},
}

# People
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
LOGIN_URL = "alerts:login"
LOGIN_REDIRECT_URL = "alerts:queue"
LOGOUT_REDIRECT_URL = "alerts:login"
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SERVED_OVER_HTTPS
CSRF_COOKIE_HTTPONLY = True

# What a browser may do with our pages
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "object-src": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60 if SERVED_OVER_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SERVED_OVER_HTTPS
SECURE_SSL_REDIRECT = SERVED_OVER_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_PROXY", default=False) else None
# API servers and monitors follow no redirect, and reach us inside the cluster.
SECURE_REDIRECT_EXEMPT = [r"^hook/", r"^(healthz|readyz|metrics)$"]
X_FRAME_OPTIONS = "DENY"

# Static files, times
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

# Intake
HOOK_BODY_LIMIT = env.int("HOOK_BODY_LIMIT", default=64 * 1024 * 1024)
INBOX_LIMIT = env.int("INBOX_LIMIT", default=200_000)
UNAUDITED_GRACE_SECONDS = env.int("UNAUDITED_GRACE_SECONDS", default=180)
CANARY_SECONDS = env.int("CANARY_SECONDS", default=300)
SILENCE_SECONDS = env.int("SILENCE_SECONDS", default=900)
HISTORY_HOURS = env.int("HISTORY_HOURS", default=24)
INBOX_AGE_LIMIT = env.int("INBOX_AGE_LIMIT", default=24 * 60 * 60)
HOOK_CERTIFICATE_HEADER = env.str("HOOK_CERTIFICATE_HEADER", default="")
HOOK_JWKS_URL = env.str("HOOK_JWKS_URL", default="")
HOOK_ISSUER = env.str("HOOK_ISSUER", default="https://accounts.google.com")
HOOK_TRUSTED_PROXIES = env.list("HOOK_TRUSTED_PROXIES", default=[], subcast=ip_network)
RETENTION_DAYS = env.float("RETENTION_DAYS", default=3)
RETENTION_GIB = env.float("RETENTION_GIB", default=20)

# Telling people. Slack is reached at the address of SLACK_URL; incoming webhooks only on SLACK_WEBHOOK_HOSTS.
_mail = env.dj_email_url("EMAIL_URL", default="smtp://127.0.0.1:8025")
MAILERS = {
    "default": {
        "BACKEND": _mail["EMAIL_BACKEND"],
        "OPTIONS": {
            "host": _mail["EMAIL_HOST"],
            "port": _mail["EMAIL_PORT"],
            "username": _mail["EMAIL_HOST_USER"],
            "password": _mail["EMAIL_HOST_PASSWORD"],
            "use_tls": _mail["EMAIL_USE_TLS"],
            "use_ssl": _mail["EMAIL_USE_SSL"],
            "timeout": 20,
        },
    }
}
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="Rolecall <rolecall@localhost>")
SLACK_URL = env.str("SLACK_URL", default="https://slack.com/api/")
SLACK_WEBHOOK_HOSTS = env.list("SLACK_WEBHOOK_HOSTS", default=["hooks.slack.com"])
# Set in the demo only: where its own mailbox keeps what it received, shown on a page
MAILBOX_DIR = env.path("MAILBOX_DIR", default=None)

# Revoking
REVOKE_GRACE_SECONDS = env.int("REVOKE_GRACE_SECONDS", default=10)
REVOKE_LOGIN_MINUTES = env.int("REVOKE_LOGIN_MINUTES", default=60)

# Seen from outside
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
LOG_FORMAT = env.str("LOG_FORMAT", default="text", validate=validate.OneOf(["text", "json"]))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"()": "alerts.audit.visible.LogFormatter", "fmt": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {"()": "alerts.audit.visible.JSONFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}
