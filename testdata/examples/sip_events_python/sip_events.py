"""The routes of kamailio.cfg: registrar, proxy, and what goes to the broker."""

import json
import re
from urllib.parse import quote

import KSR


def text(name):
    """A pseudo-variable, of which callers may have made what is not UTF-8."""
    if KSR.pv.is_null("$(%s)" % name):
        return None
    encoded = KSR.pv.get("$(%s{s.encode.hexa})" % name)
    return bytes.fromhex(encoded).decode(errors="replace")


def mod_init():
    return Script()


class Script:
    def child_init(self, rank):
        return 0

    def ksr_request_route(self, msg):
        if KSR.maxfwd.process_maxfwd(10) < 0:
            KSR.sl.sl_send_reply(483, "Too Many Hops")
        elif KSR.siputils.has_totag() > 0:
            self.in_dialog()
        elif KSR.is_CANCEL():
            if KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
        elif KSR.pv.is_null("$fu"):
            KSR.sl.sl_send_reply(400, "Bad From")
        # Authenticate the user here, before anything is believed.
        elif KSR.is_REGISTER():
            self.register()
        elif KSR.is_INVITE():
            self.call()
        else:
            KSR.sl.sl_send_reply(405, "Method Not Allowed")
        return 1

    # Kamailio 5.6 calls these two, whether they are there or not.

    def ksr_reply_route(self, msg):
        return 1

    def ksr_onsend_route(self, msg):
        return 1

    def in_dialog(self):
        if KSR.rr.loose_route() > 0:
            KSR.tm.t_relay()
        elif not KSR.is_ACK():
            KSR.sl.sl_send_reply(404, "Not Here")
        elif KSR.tm.t_check_trans() > 0:
            KSR.tm.t_relay()

    # Registrations.

    def register(self):
        user = (text("tU") or "").lower()
        # An escaped name would be a second name of the same user.
        if not KSR.is_myself_turi() or not re.fullmatch(
            "[a-z0-9+._-]{1,64}", user
        ):
            KSR.sl.sl_send_reply(404, "Not a User")
        elif KSR.registrar.save("location", 0) > 0:
            aor = "sip:%s@%s" % (user, KSR.pv.get("$td").lower())
            KSR.mqueue.mq_add("registrations", aor, "")

    def ksr_contact_expired(self, msg, event):
        aor = "sip:" + KSR.pv.get("$ulc(exp=>aor)")
        KSR.mqueue.mq_add("registrations", aor, "")
        return 1

    # Runs in one process, ten times a second: two changes of a user cannot
    # overtake each other. What is published is what the location table says by
    # then.
    def ksr_registrations(self, msg, event):
        while KSR.mqueue.mq_fetch("registrations") > 0:
            aor = KSR.pv.get("$mqk(registrations)")
            user, _, domain = aor.removeprefix("sip:").rpartition("@")
            # No + / # in the topic, whatever the name is.
            topic = "sip/registrations/%s/%s" % (
                quote(domain, safe="").lower(),
                quote(user, safe="").lower(),
            )
            result = KSR.mqtt.publish_opts(topic, self.state(aor), 1, "retain")
            if result == -2:
                # The queue is full. This must not get lost: again, the next
                # time.
                KSR.mqueue.mq_add("registrations", aor, "")
                return 1
        return 1

    def state(self, aor):
        """Without contacts it is empty, which makes the broker forget the
        topic."""
        if KSR.registrar.reg_fetch_contacts("location", aor, "state") < 0:
            return ""
        contacts = [
            {
                "uri": text("ulc(state=>addr)[%d]" % i),
                "user_agent": text("ulc(state=>user_agent)[%d]" % i),
                "expires": KSR.pv.get("$(ulc(state=>expires)[%d])" % i),
            }
            for i in range(KSR.pv.get("$ulc(state=>count)") or 0)
        ]
        if not contacts:
            return ""
        return json.dumps({"aor": aor, "contacts": contacts})

    # Calls.

    def call(self):
        KSR.rr.record_route()
        KSR.dialog.dlg_manage()
        name = text("fn")
        if name and name.startswith('"'):
            name = name[1:-1]
        self.publish_call(
            "started",
            {
                "from": text("fu"),
                "from_name": name,
                "to": text("tu"),
                "user_agent": text("ua"),
                "source": text("si"),
            },
        )
        # To users of ours alone: no open relay.
        if KSR.is_myself_ruri() and KSR.registrar.lookup("location") > 0:
            KSR.tm.t_relay()
        else:
            KSR.tm.t_newtran()
            KSR.tm.t_reply(480, "Not Registered")

    def ksr_dialog_event(self, msg, event):
        if event == "dialog:start":
            self.publish_call("answered", {})
        elif event == "dialog:end":
            duration = KSR.pv.get("$TS") - KSR.pv.get("$dlg(start_ts)")
            self.publish_call("ended", {"duration": duration})
        elif event == "dialog:failed":
            # There is none where the last reply is one of Kamailio's own.
            self.publish_call("failed", {"status": KSR.pv.get("$rs")})
        return 1

    def publish_call(self, event, fields):
        fields["call_id"] = text("dlg(callid)")
        fields["time"] = KSR.pv.get("$TS")
        members = {
            name: value for name, value in fields.items() if value is not None
        }
        result = KSR.mqtt.publish("sip/calls/" + event, json.dumps(members), 1)
        if result < 0:
            KSR.warn("%s not published: %d\n" % (event, result))
