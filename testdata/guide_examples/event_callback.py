import KSR


class Script:
    # event callback function implemented in Python
    def ksr_mqtt_event(self, msg, evname):
        KSR.info("===== mqtt module triggered event: %s\n" % evname);
        return 1;

    # Not of the guide: Kamailio's entry points.
    def child_init(self, rank):
        return 0

    def ksr_request_route(self, msg):
        KSR.sl.sl_send_reply(200, "OK")
        return 1


def mod_init():
    return Script()
