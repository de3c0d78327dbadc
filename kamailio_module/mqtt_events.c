/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "kamailio_module/mqtt_events.h"

#include "core/action.h"
#include "core/cfg/cfg_struct.h"
#include "core/dprint.h"
#include "core/fmsg.h"
#include "core/kemi.h"
#include "core/receive.h"
#include "core/route.h"
#include "core/script_cb.h"
#include "kamailio_module/mqtt_log.h"
#include "kamailio_module/mqtt_pv.h"

static struct {
  str name;
  int route; /* index into event_rt, -1: not defined */
} events[] = {[MQTT_EVENT_CONNECTED] = {str_init("mqtt:connected"), -1},
              [MQTT_EVENT_DISCONNECTED] = {str_init("mqtt:disconnected"), -1},
              [MQTT_EVENT_MESSAGE] = {str_init("mqtt:message"), -1}};

static str *kemi_callback;

int mqtt_events_init(str *callback) {
  size_t i;

  for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
    events[i].route = route_lookup(&event_rt, events[i].name.s);
  }
  kemi_callback = callback;
  if (callback->len > 0 && sr_kemi_eng_get() == NULL) {
    LM_WARN(
        "event_callback \"%.*s\" will not run: the configuration sets no "
        "cfgengine\n",
        callback->len, callback->s);
  }
  return faked_msg_init();
}

static mqtt_run_status run_route(int route, sip_msg_t *msg) {
  if (event_rt.rlist[route] != NULL) {
    run_top_route(event_rt.rlist[route], msg, NULL);
  }
  return MQTT_RUN_DONE;
}

static mqtt_run_status run_callback(sr_kemi_eng_t *engine, str *event_name,
                                    sip_msg_t *msg) {
  struct run_act_ctx context;

  init_run_actions_ctx(&context);
  if (sr_kemi_ctx_route(engine, &context, msg, EVENT_ROUTE, kemi_callback,
                        event_name) < 0) {
    /* The engine has logged why, as an error. */
    LM_DBG("event_callback \"%.*s\" failed for %.*s\n", kemi_callback->len,
           kemi_callback->s, event_name->len, event_name->s);
    return MQTT_RUN_FAILED;
  }
  return MQTT_RUN_DONE;
}

/* Drops what the script left behind: what modules such as tm and dialog keep
 * for a request until its script ends, what is attached to the faked request
 * (changes, a new URI, branches), and variables. */
static void reset(sip_msg_t *msg) {
  exec_post_script_cb(msg, REQUEST_CB_TYPE);
  free_sip_msg(msg);
  if (faked_msg_get_new(msg) < 0) LM_ERR("no faked request for events\n");
  ksr_msg_env_reset();
}

mqtt_run_status mqtt_events_run(const mqtt_event *event) {
  int route = events[event->kind].route;
  sr_kemi_eng_t *engine = kemi_callback->len > 0 ? sr_kemi_eng_get() : NULL;
  int route_type_before = get_route_type();
  sip_msg_t *msg;
  mqtt_run_status status;

  cfg_update();
  mqtt_log_refresh();
  if (route < 0 && engine == NULL) return MQTT_RUN_NO_ROUTE;

  msg = faked_msg_next();
  mqtt_pv_set_event(event);
  set_route_type(EVENT_ROUTE);
  status = route >= 0 ? run_route(route, msg)
                      : run_callback(engine, &events[event->kind].name, msg);
  set_route_type(route_type_before);
  mqtt_pv_set_event(NULL);
  reset(msg);
  return status;
}
