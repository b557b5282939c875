"""The administration: clusters and what Rolecall may do there. People and groups are Django's own."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest

from alerts.models import Activity, Cluster


class ClusterForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in its stubs only
    """A cluster's connection. The token is only ever written: leaving it empty keeps the one that is stored."""

    api_token = forms.CharField(
        label="API token",
        required=False,
        strip=True,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
        help_text="Stored encrypted and never shown again. Empty keeps the stored one.",
    )

    restorer_token = forms.CharField(
        label="Token of the account that restores",
        required=False,
        strip=True,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
        help_text="Optional, and as good as cluster-admin: with it a revoke can be undone (deploy/rbac/restorer.yaml). "
        "Stored encrypted and never shown again. Empty keeps the stored one.",
    )
    forget_restorer = forms.BooleanField(label="Forget the token of the account that restores", required=False)

    class Meta:
        model = Cluster
        fields = (
            "name",
            "push_account",
            "api_address",
            "certificate_authority",
            "readable",
            "revocable",
            "second_person_required",
            "private_address_allowed",
        )

    def clean(self) -> dict[str, Any]:
        """Refuse to send a stored token to another address than it was entered for."""
        values = super().clean() or {}
        if "api_address" in self.changed_data and self.instance.sealed_api_token and not values.get("api_token"):
            self.add_error("api_token", "The address changed: enter the token again, so that it goes to no stranger.")
        kept = self.instance.sealed_restorer_token and not values.get("forget_restorer")
        if "api_address" in self.changed_data and kept and not values.get("restorer_token"):
            self.add_error("restorer_token", "The address changed: enter this token again too, or have it forgotten.")
        if (values.get("readable") or values.get("revocable")) and not values.get("api_address"):
            self.add_error("api_address", "Reading and revoking need the address of the cluster’s API.")
        return values


@admin.register(Cluster)
class ClusterAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in its stubs only
    """Connects clusters. New ones come from `manage.py add_cluster`, which prints the token for the hook once."""

    form = ClusterForm
    list_display = ["name", "api_address", "readable", "revocable", "last_event_at"]

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Nobody adds a cluster here: its hook token could not be shown."""
        return False

    def save_model(self, request: HttpRequest, obj: Cluster, form: ClusterForm, change: bool) -> None:
        """Save the cluster, encrypt a new token, and record who changed what."""
        if form.cleaned_data.get("api_token"):
            obj.set_api_token(form.cleaned_data["api_token"])
        if form.cleaned_data.get("restorer_token") or form.cleaned_data.get("forget_restorer"):
            obj.set_restorer_token(form.cleaned_data.get("restorer_token") or "")
        super().save_model(request, obj, form, change)
        changed = ", ".join(form.changed_data) or "nothing"
        by = User.objects.get(username=request.user.get_username())
        Activity.objects.record("cluster", f"changed {obj.name}: {changed}", by=by, cluster=obj)
