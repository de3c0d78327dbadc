/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The event routes mqtt:connected, mqtt:disconnected and mqtt:message, and
 * the KEMI function that runs for those which are not defined.
 */
#ifndef KAMAILIO_MODULE_MQTT_EVENTS_H_
#define KAMAILIO_MODULE_MQTT_EVENTS_H_

#include "core/str.h"
#include "kamailio_module/bridge.h"

/* Finds the event routes. `callback` names the KEMI function, may be empty,
 * and must stay. To be called before the fork; returns 0 or -1. */
int mqtt_events_init(str *callback);

/* Runs what is there for the event, on a faked SIP request, and frees what
 * the script left behind. What a route returns, also by exit and drop, is not
 * a failure; an error in the KEMI function is, where its engine tells (app_lua
 * and app_python3 only log it). */
mqtt_run_status mqtt_events_run(const mqtt_event *event);

#endif /* KAMAILIO_MODULE_MQTT_EVENTS_H_ */
