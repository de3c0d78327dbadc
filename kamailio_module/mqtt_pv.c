/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "kamailio_module/mqtt_pv.h"

#include <string.h>

#include "core/dprint.h"

typedef enum mqtt_field {
  FIELD_TOPIC,
  FIELD_MSG,
  FIELD_QOS,
  FIELD_RETAIN,
  FIELD_DUP,
  FIELD_MID,
  FIELD_ORIGIN,
  FIELD_REASON
} mqtt_field;

/* In the order of mqtt_field. */
static const str field_names[] = {
    str_init("topic"), str_init("msg"), str_init("qos"),    str_init("retain"),
    str_init("dup"),   str_init("mid"), str_init("origin"), str_init("reason")};

static const mqtt_event *current_event;

void mqtt_pv_set_event(const mqtt_event *event) { current_event = event; }

static int parse_name(pv_spec_t *spec, str *name) {
  const int count = sizeof(field_names) / sizeof(field_names[0]);
  int i;

  for (i = 0; i < count; i++) {
    if (name->len == field_names[i].len &&
        memcmp(name->s, field_names[i].s, name->len) == 0) {
      spec->pvp.pvn.type = PV_NAME_INTSTR;
      spec->pvp.pvn.u.isname.name.n = i;
      return 0;
    }
  }
  LM_ERR(
      "$mqtt(%.*s) does not exist, the names are: topic, msg, qos, retain, "
      "dup, mid, origin, reason\n",
      name->len, name->s);
  return -1;
}

static int get_bytes(sip_msg_t *msg, pv_param_t *param, pv_value_t *value,
                     mqtt_bytes bytes) {
  if (bytes.size == 0) return pv_get_strempty(msg, param, value);
  return pv_get_strlval(msg, param, value, (char *)bytes.data, bytes.size);
}

static int get_value(sip_msg_t *msg, pv_param_t *param, pv_value_t *value) {
  /* Arrays, because Kamailio's =~ writes a NUL behind what it matches. */
  static char broker[] = "broker";
  static char injected[] = "injected";
  const mqtt_event *event = current_event;
  mqtt_field field = param->pvn.u.isname.name.n;
  mqtt_event_kind kind =
      field == FIELD_REASON ? MQTT_EVENT_DISCONNECTED : MQTT_EVENT_MESSAGE;

  if (event == NULL || event->kind != kind) {
    return pv_get_null(msg, param, value);
  }
  switch (field) {
    case FIELD_TOPIC:
      return get_bytes(msg, param, value, event->topic);
    case FIELD_MSG:
      return get_bytes(msg, param, value, event->payload);
    case FIELD_QOS:
      return pv_get_sintval(msg, param, value, event->qos);
    case FIELD_RETAIN:
      return pv_get_sintval(msg, param, value, event->retain);
    case FIELD_DUP:
      return pv_get_sintval(msg, param, value, event->dup);
    case FIELD_MID:
      return pv_get_sintval(msg, param, value, event->mid);
    case FIELD_ORIGIN:
      return pv_get_strzval(msg, param, value,
                            event->injected ? injected : broker);
    case FIELD_REASON:
      return get_bytes(msg, param, value, event->reason);
  }
  return pv_get_null(msg, param, value);
}

pv_export_t mqtt_pvs[] = {{.name = str_init("mqtt"),
                           .type = PVT_OTHER,
                           .getf = get_value,
                           .parse_name = parse_name},
                          {.name = {NULL, 0}}};
