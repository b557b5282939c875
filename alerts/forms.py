"""What people may enter, and what is refused."""

import re
from typing import Any

from django import forms

from alerts import rbac
from alerts.audit.actor_rule import ActorRule
from alerts.audit.visible import visible
from alerts.models import Alert, Channel, Cluster, KnownActor, Stakeholder
from alerts.notifications import egress, slack
from alerts.services import mutes
from alerts.services.delivery import TEXT_LIMIT
from alerts.services.draft import SUBJECT_LIMIT, Draft
from alerts.services.searching import Place, Wanted

# A name with or without #, or an id such as C0123ABCD: no space, and nothing that Slack gives a meaning.
_SLACK_CHANNEL = re.compile(r"#?[^\s<>&#@!|]{1,79}")
# A batch, and how many of its events were shown: no more digits than a database takes.
_PLACE = re.compile(r"\A[0-9]{1,18}(\.[0-9]{1,18})?\Z")
_BOT_TOKEN = re.compile(r"xox[A-Za-z0-9._-]{5,300}")


class StakeholderForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in its stubs only
    """Somebody who is told, and how they are reached."""

    class Meta:
        model = Stakeholder
        fields = ("name", "group", "email", "channel", "slack_channel")
        labels = {"channel": "Slack connection", "email": "Mail address"}

    def clean_name(self) -> str:
        """Refuse a name that shows differently from how it is written."""
        return _plain(self.cleaned_data["name"])

    def clean(self) -> dict[str, Any]:
        """Refuse somebody who cannot be reached, and a bot that is not told where to post."""
        values = super().clean() or self.cleaned_data
        channel, where = values.get("channel"), values.get("slack_channel", "")
        if not channel:
            values["slack_channel"] = ""
            if not values.get("email") and "email" not in self.errors:
                raise forms.ValidationError("Give a mail address, a Slack connection, or both.")
        elif channel.kind == Channel.Kind.WEBHOOK:
            values["slack_channel"] = ""
        elif not _SLACK_CHANNEL.fullmatch(where) or visible(where) != where:
            self.add_error("slack_channel", "Say which channel the bot posts to, such as #security-alerts.")
        return values


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in its stubs only
    """A Slack connection. Its secret is entered, never shown; left empty, the one that is kept stays."""

    secret = forms.CharField(
        label="Bot token or webhook address",
        required=False,
        max_length=500,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="A bot’s token begins with xoxb-, a webhook’s address with https://. It is kept encrypted.",
    )

    class Meta:
        model = Channel
        fields = ("name", "kind")

    def clean_name(self) -> str:
        """Refuse a name that shows differently from how it is written."""
        return _plain(self.cleaned_data["name"])

    def clean(self) -> dict[str, Any]:
        """Refuse a connection without a secret, and a secret that does not fit its kind."""
        values = super().clean() or self.cleaned_data
        kind, secret = values.get("kind"), values.get("secret", "")
        if secret:
            problem = _problem_with_secret(kind, secret)
        elif self.instance.pk and "kind" not in self.changed_data:
            problem = ""
        else:
            problem = "Enter the bot’s token or the webhook’s address."
        if problem:
            self.add_error("secret", problem)
        return values

    def save(self, commit: bool = True) -> Channel:
        """Put what was entered into the connection, with its secret encrypted."""
        if self.cleaned_data["secret"]:
            self.instance.set_secret(self.cleaned_data["secret"])
        channel: Channel = super().save(commit)
        return channel


class DraftForm(forms.Form):
    """What one group is told."""

    subject = forms.CharField(max_length=SUBJECT_LIMIT)
    text = forms.CharField(max_length=TEXT_LIMIT, widget=forms.Textarea(attrs={"rows": 14}))

    def clean_subject(self) -> str:
        """Put the subject on one visible line."""
        return visible(" ".join(self.cleaned_data["subject"].split()))[:SUBJECT_LIMIT]

    def clean_text(self) -> str:
        """End lines as we do."""
        return str(self.cleaned_data["text"]).replace("\r\n", "\n")

    def draft(self) -> Draft:
        """Return what was entered."""
        return Draft(subject=self.cleaned_data["subject"], text=self.cleaned_data["text"])


class SearchForm(forms.Form):
    """What to look for in a cluster's stored batches, and when it happened (UTC).

    Names are looked for as they are entered, with the spaces around them: whoever chose one may have put them there.
    """

    actor = forms.CharField(required=False, strip=False, label="Actor")
    role = forms.CharField(required=False, strip=False, label="Role that allowed it")
    object = forms.CharField(required=False, strip=False, label="Role or binding written")
    resource = forms.ChoiceField(
        required=False,
        label="Its kind",
        choices=[(each, each) for each in ("clusterroles", "clusterrolebindings", "roles", "rolebindings")],
    )
    namespace = forms.CharField(
        required=False, strip=False, help_text="Of the role or binding; empty for the whole cluster."
    )
    since = forms.DateTimeField(required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"}))
    until = forms.DateTimeField(required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"}))
    before = forms.RegexField(_PLACE, required=False, widget=forms.HiddenInput)

    def clean_before(self) -> Place | None:
        """Return where the page before ended, None for the first one."""
        return Place.of(self.cleaned_data["before"]) if self.cleaned_data["before"] else None

    def wanted(self) -> Wanted:
        """Return what is looked for."""
        entered, namespace = self.cleaned_data, self.cleaned_data["namespace"]
        role = rbac.RoleRef("Role" if namespace else "ClusterRole", entered["role"], namespace)
        written = (entered["resource"] or "clusterroles", namespace, entered["object"])
        return Wanted(entered["actor"], role if role.name else None, written if entered["object"] else None)


class TellForm(forms.Form):
    """Who is told, from which version of the alert, and which form this is: sent twice it counts once."""

    recipients = forms.ModelMultipleChoiceField(
        Stakeholder.objects.select_related("channel"),
        error_messages={"required": "Choose at least one recipient.", "invalid_choice": "Somebody was removed."},
    )
    version = forms.IntegerField(widget=forms.HiddenInput)
    once = forms.CharField(max_length=64, widget=forms.HiddenInput)


def _plain(name: str) -> str:
    if visible(name) != name:
        raise forms.ValidationError("The name holds characters that cannot be seen.")
    return name


def _problem_with_secret(kind: str | None, secret: str) -> str:
    """Return what is wrong with a secret, without repeating it, or the empty string."""
    if kind == Channel.Kind.BOT:
        return "" if _BOT_TOKEN.fullmatch(secret) else "A bot’s token begins with xoxb-."
    try:
        slack.check_webhook(secret)
    except egress.NotAllowed as refused:
        return str(refused)
    return ""


class MuteForm(forms.Form):
    """What to mute, why and for how long. In the actor and the object a * stands for anything, \\* for itself."""

    cluster = forms.ModelChoiceField(Cluster.objects.all(), required=False, empty_label="Any cluster")
    actor = forms.CharField(required=False, help_text="The user name; empty for anybody. A * stops at : @ and /")
    object = forms.CharField(
        required=False, help_text="Kind and name, as in: ClusterRole certkeeper-*. For a * in a name write \\*"
    )
    days = forms.TypedChoiceField(
        label="For", coerce=int, choices=[(1, "1 day"), (7, "7 days"), (30, "30 days"), (90, "90 days")], initial=7
    )
    reason = forms.CharField(required=False, max_length=500, help_text="In a sentence: the next analyst will read it.")
    covers_critical = forms.BooleanField(
        required=False,
        label="Hide Critical alerts too",
        help_text="Only for one cluster, one actor and one object, all without *.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = Alert.objects.order_by("detection").values_list("detection", flat=True).distinct()
        choices = [("", "Any detection"), *((name, name.replace("_", " ").capitalize()) for name in names)]
        self.fields["detection"] = forms.ChoiceField(required=False, choices=choices)
        self.order_fields(["cluster", "detection", "actor", "object"])

    def scope(self) -> mutes.Scope:
        """Return what was entered as the scope of a mute."""
        entered = {name: self.cleaned_data[name] for name in ("cluster", "detection", "actor", "object")}
        return mutes.Scope(**entered)


class KnownActorForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in its stubs only
    """A known actor's rule."""

    username = forms.CharField(
        label="User name", help_text=KnownActor._meta.get_field("username").help_text, strip=True
    )
    client = forms.CharField(
        required=False,
        help_text="Its user agent, in which a * stands for anything; empty for any. Whoever has the actor's "
        "credentials can claim it.",
    )
    networks = forms.CharField(
        required=False,
        help_text="Separated by commas. Every source address of the request must lie in one of them, so a load "
        "balancer's belongs here too; empty for anywhere.",
    )

    class Meta:
        model = KnownActor
        fields = ("cluster", "name", "username", "client", "networks")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["networks"] = ", ".join(self.initial.get("networks") or ())
        for name in ("username", "client", "networks"):
            self.initial[name] = visible(self.initial.get(name, ""))

    def clean_name(self) -> str:
        """Refuse a name that shows differently from how it is written."""
        return _plain(self.cleaned_data["name"])

    def clean_username(self) -> str:
        """Keep it as it shows: so it is compared."""
        return visible(self.cleaned_data["username"])

    def clean_client(self) -> str:
        """Keep it as it shows."""
        return visible(self.cleaned_data["client"])

    def clean_networks(self) -> list[str]:
        """Take the list apart."""
        return [network for each in self.cleaned_data["networks"].split(",") if (network := each.strip())]

    def clean(self) -> dict[str, Any]:
        """Refuse a rule that would fit more than one actor means."""
        values = super().clean() or self.cleaned_data
        rule = ActorRule(values.get("username", ""), values.get("client", ""), tuple(values.get("networks", ())))
        for field, problem in rule.problems():
            if field not in self.errors:
                self.add_error(field, problem)
        return values
