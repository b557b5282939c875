# One image for web, worker and beat: the command tells which (docker-compose.yml, Procfile).
FROM python:3.13.9-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --create-home rolecall
WORKDIR /app

COPY requirements.lock .
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock

COPY manage.py .
COPY templates templates
COPY triage triage
COPY alerts alerts
# The keys are only there because the settings want some; collecting files uses none of them.
RUN SECRET_KEY=unused CREDENTIAL_KEYS=unused python manage.py collectstatic --no-input --verbosity 0

USER rolecall
EXPOSE 8000
CMD ["gunicorn", "triage.wsgi", "--bind", "0.0.0.0:8000", "--workers", "2", "--worker-tmp-dir", "/dev/shm", "--preload", "--no-control-socket"]
