"""Every address of the app."""

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from alerts.views import (
    alert,
    clusters,
    hook,
    investigate,
    mailbox,
    queue,
    revoke,
    role,
    search,
    stakeholders,
    tell,
    triage,
    watch,
)

app_name = "alerts"

urlpatterns = [
    path("hook/<str:name>", hook.hook, name="hook"),
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
    path("alerts/<int:pk>/investigate", investigate.investigate, name="investigate"),
    path("alerts/<int:pk>/watch", watch.start, name="watch"),
    path("watches/<int:pk>/end", watch.end, name="end_watch"),
    path("alerts/<int:pk>/revoke", revoke.revoke, name="revoke"),
    path("alerts/<int:pk>/revoke/plan", revoke.revoke_plan, name="revoke_plan"),
    path("alerts/<int:pk>/revoke/call-off", revoke.revoke_call_off, name="revoke_call_off"),
    path("alerts/<int:pk>/revoke/check", revoke.revoke_check, name="revoke_check"),
    path("alerts/<int:pk>/revoke/progress", revoke.revoke_progress, name="revoke_progress"),
    path("alerts/<int:pk>/revoke/button", revoke.revoke_button, name="revoke_button"),
    path("alerts/<int:pk>/revoke/<int:revocation_pk>/manifests", revoke.revoke_manifests, name="revoke_manifests"),
    path("roles", role.roles, name="roles"),
    path("roles/<int:pk>", role.role, name="role"),
    path("alerts/<int:pk>/tell", tell.tell, name="tell"),
    path("alerts/<int:pk>/told", tell.told, name="told"),
    path("notifications/<int:pk>/retry", tell.retry, name="retry"),
    path("stakeholders", stakeholders.stakeholders, name="stakeholders"),
    path("stakeholders/new", stakeholders.add_stakeholder, name="add_stakeholder"),
    path("stakeholders/<int:pk>", stakeholders.stakeholder, name="stakeholder"),
    path("stakeholders/<int:pk>/remove", stakeholders.remove_stakeholder, name="remove_stakeholder"),
    path("stakeholders/<int:pk>/test", stakeholders.test_message, name="test_message"),
    path("channels/new", stakeholders.add_channel, name="add_channel"),
    path("channels/<int:pk>", stakeholders.channel, name="channel"),
    path("channels/<int:pk>/remove", stakeholders.remove_channel, name="remove_channel"),
    path("mailbox", mailbox.mailbox, name="mailbox"),
    path("clusters", clusters.clusters, name="clusters"),
    path("clusters/<slug:name>", clusters.cluster, name="cluster"),
    path("clusters/<slug:name>/search", search.search, name="search"),
    path(
        "login",
        login_not_required(LoginView.as_view(template_name="alerts/login.html", redirect_authenticated_user=True)),
        name="login",
    ),
    path("logout", LogoutView.as_view(), name="logout"),
]
