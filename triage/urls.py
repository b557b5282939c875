"""The project's addresses: all of them belong to the app, besides the administration."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("administration/", admin.site.urls),
    path("", include("alerts.urls")),
]
