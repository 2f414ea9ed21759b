"""What Slack's error words mean. Slack answers 200 also when it refuses: `{"ok": false, "error"}`.

Sources: the errors listed with each method at docs.slack.dev/reference/methods.
"""

from __future__ import annotations

from hub.sdk import (
    AuthFailed,
    Outcome,
    Payload,
    Rejected,
    Response,
    RetryLater,
    failed,
    retry_after,
)

_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})

_AUTH = {
    "not_authed": "the bot token is missing",
    "invalid_auth": "the bot token is wrong, or Slack refuses this network address",
    "account_inactive": "the app or its workspace was removed; install the app again",
    "token_revoked": "the app was uninstalled; install it again and paste the new bot token",
    "token_expired": "the bot token has expired; paste a new one",
    "missing_scope": "add the scope under OAuth & Permissions and install the app again",
    "no_permission": "the app may not do this in its workspace; install it again",
    "not_allowed_token_type": "the token must be a bot token (xoxb-…)",
    "access_denied": "the workspace refuses the app; ask its administrator",
    "ekm_access_denied": "an administrator has suspended posting",
    "enterprise_is_restricted": "the token belongs to an organisation; install the app in one "
    "workspace",
    "team_access_not_granted": "the app is not granted to this workspace",
    "team_access_denied": "the app is not granted to this workspace",
    "two_factor_setup_required": "the account needs two-factor sign-in",
    "accesslimited": "Slack limits this network; ask the workspace's administrator",
}

_PASSING = frozenset({
    "internal_error", "fatal_error", "service_unavailable", "request_timeout", "update_failed",
    "rollup_error", "temporarily_unavailable",
    # The workspace is being moved into an organisation; it comes back.
    "team_added_to_org", "org_login_required", "external_channel_migrating",
})  # fmt: skip

_CHANNEL, _TEXT, _MESSAGE, _USER = "channel", "text", "message", "user"
_REJECTED = {
    "channel_not_found": (_CHANNEL, "there is none such, or the app is not in it; invite the app"),
    "not_in_channel": (_CHANNEL, "invite the app to the channel with /invite"),
    "is_archived": (_CHANNEL, "the channel is archived; unarchive it or choose another"),
    "restricted_action": (_CHANNEL, "only some people may post in this channel"),
    "restricted_action_read_only_channel": (_CHANNEL, "nobody may post in this channel"),
    "restricted_action_thread_only_channel": (_CHANNEL, "only replies are allowed in it"),
    "restricted_action_non_threadable_channel": (_CHANNEL, "replies are not allowed in it"),
    "msg_too_long": (_TEXT, "the text is too long for Slack"),
    "no_text": (_TEXT, "there is no text to post"),
    "invalid_blocks": (_TEXT, "Slack cannot lay the text out"),
    "message_not_found": (_MESSAGE, "there is no such message; it may have been deleted"),
    "thread_not_found": (_MESSAGE, "there is no such thread; it may have been deleted"),
    "thread_locked": (_MESSAGE, "the thread takes no more replies"),
    "cannot_reply_to_message": (_MESSAGE, "this kind of message has no thread"),
    "cant_update_message": (_MESSAGE, "only the app's own messages can be changed"),
    "edit_window_closed": (_MESSAGE, "the workspace no longer lets this message be changed"),
    "bad_timestamp": (_MESSAGE, "give the message as <channel id>:<timestamp>"),
    "no_item_specified": (_MESSAGE, "give the message as <channel id>:<timestamp>"),
    "too_many_reactions": (_MESSAGE, "the message has as many reactions as Slack allows"),
    "too_many_emoji": (_MESSAGE, "the message has as many reactions as Slack allows"),
    "invalid_name": ("reaction", "there is no such emoji in the workspace"),
    "user_not_found": (_USER, "there is no such member"),
    "users_not_found": ("email", "no member of the workspace has this address"),
    "user_disabled": (_USER, "the member's account was switched off"),
    "user_not_in_channel": (_USER, "the member is not in the channel"),
    "cannot_dm_bot": (_USER, "an app cannot be written to"),
    "messages_tab_disabled": (_USER, "switch on App Home > Messages Tab in the app's settings"),
}  # fmt: skip


def read(response: Response) -> Payload | Outcome:
    """Return the answer's body when Slack did it, else what its refusal means.

    Raises `MalformedPayload` for a 2xx answer that is not Slack's.
    """
    if not response.ok:
        return failed(response)
    body = response.payload()
    return body if body["ok"].bool() else refused(response, body)


def word_of(response: Response) -> str:
    """Return the error word of an answer, empty when it has none. Raises `MalformedPayload`."""
    return (response.payload()["error"].opt_str() or "") if response.ok else ""


def refused(response: Response, body: Payload) -> Outcome:
    """Read `{"ok": false, "error": word}`. An unknown word is a refusal for good."""
    word = body["error"].opt_str() or "no reason given"
    if word in _LIMITED:
        return RetryLater(
            reason=f"Slack says {word}", after=retry_after(response), limited=True, effect=False
        )
    if word in _AUTH:
        needed = body["needed"].raw
        scope = f" (needed: {needed[:200]})" if isinstance(needed, str) else ""
        return AuthFailed(reason=f"Slack says {word}{scope}: {_AUTH[word]}")
    if word in _PASSING:
        # "Some aspect of the operation may have succeeded", Slack says of these.
        return RetryLater(reason=f"Slack says {word}", after=retry_after(response))
    field, mend = _REJECTED.get(word, ("", _details(body)))
    return Rejected(reason=f"Slack says {word[:200]}" + (f": {mend}" if mend else ""), field=field)


def _details(body: Payload) -> str:
    """Return what Slack tells of `invalid_arguments`."""
    messages = body["response_metadata"]["messages"].raw
    told = messages if isinstance(messages, list) else []
    return "; ".join(item[:200] for item in told[:3] if isinstance(item, str))
