# SPDX-License-Identifier: GPL-3.0-or-later
"""The script of kemi_test.py; kemi_script.lua is the same in Lua.

A request makes the call that its method names, with its user part as the topic
and its X- headers as the other arguments, and is answered with what the call
returns. The callback echoes messages.
"""

import KSR


def header(name):
    return KSR.pv.get("$hdr(X-" + name + ")")


def publish():
    return KSR.mqtt.publish(
        KSR.pv.get("$rU"), header("Payload"), int(header("Qos"))
    )


def publish_opts():
    return KSR.mqtt.publish_opts(
        KSR.pv.get("$rU"),
        header("Payload"),
        int(header("Qos")),
        header("Options"),
    )


def subscribe():
    return KSR.mqtt.subscribe(KSR.pv.get("$rU"), int(header("Qos")))


def unsubscribe():
    return KSR.mqtt.unsubscribe(KSR.pv.get("$rU"))


CALLS = {
    "PUBLISH": publish,
    "MESSAGE": publish_opts,
    "SUBSCRIBE": subscribe,
    "REFER": unsubscribe,
}


class Script:
    def child_init(self, rank):
        return 0

    def ksr_request_route(self, msg):
        call = CALLS.get(KSR.pv.get("$rm"))
        KSR.sl.sl_send_reply(200, str(call()) if call else "OK")
        return 1

    def on_event(self, msg, name):
        topic = KSR.pv.get("$mqtt(topic)")
        if name == "mqtt:connected":
            KSR.mqtt.subscribe("binary", 2)
            KSR.mqtt.subscribe("in", 2)
        elif topic == "binary":
            # app_python3 passes only text without NULs.
            payload = bytes.fromhex(KSR.pv.get("$(mqtt(msg){s.encode.hexa})"))
            KSR.mqtt.publish("out", repr(payload), 1)
        elif name == "mqtt:message":
            KSR.mqtt.publish(
                "out", KSR.pv.get("$mqtt(msg)"), KSR.pv.get("$mqtt(qos)")
            )
        reason = KSR.pv.get("$mqtt(reason)")
        KSR.notice("callback of %s: %s %s\n" % (name, topic, reason))
        return 1

    def broken(self, msg, name):
        raise ValueError("broken on purpose")


def mod_init():
    return Script()
