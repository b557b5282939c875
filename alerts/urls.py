"""Every address of the app."""

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from alerts.views import alert, clusters, queue, triage

app_name = "alerts"

urlpatterns = [
    path("", queue.queue, name="queue"),
    path("newcomers", queue.newcomers, name="newcomers"),
    path("bulk", queue.bulk, name="bulk"),
    path("alerts/<int:pk>", alert.alert, name="alert"),
    path("alerts/<int:pk>/take", triage.take, name="take"),
    path("alerts/<int:pk>/assign", triage.assign, name="assign"),
    path("alerts/<int:pk>/move", triage.move, name="move"),
    path("alerts/<int:pk>/steps/<slug:key>", triage.answer, name="answer"),
    path("alerts/<int:pk>/close", triage.close, name="close"),
    path("alerts/<int:pk>/reopen", triage.reopen, name="reopen"),
    path("alerts/<int:pk>/notes", triage.note, name="note"),
    path("alerts/<int:pk>/notes/<int:note_pk>", triage.edit_note, name="edit_note"),
    path("clusters", clusters.clusters, name="clusters"),
    path("clusters/<slug:name>", clusters.cluster, name="cluster"),
    path(
        "login",
        login_not_required(LoginView.as_view(template_name="alerts/login.html", redirect_authenticated_user=True)),
        name="login",
    ),
    path("logout", LogoutView.as_view(), name="logout"),
]
