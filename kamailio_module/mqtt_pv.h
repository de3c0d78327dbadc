/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The pseudo-variable class $mqtt(name):
 *   topic, msg, qos, retain, dup, mid, origin   while mqtt:message runs
 *   reason                                      while mqtt:disconnected runs
 * Everywhere else the value is null. The class is read-only: an assignment
 * is an error of the configuration, and so is another name.
 */
#ifndef KAMAILIO_MODULE_MQTT_PV_H_
#define KAMAILIO_MODULE_MQTT_PV_H_

#include "core/pvar.h"
#include "kamailio_module/bridge.h"

extern pv_export_t mqtt_pvs[];

/* The event that runs in this process from now on, NULL: none. */
void mqtt_pv_set_event(const mqtt_event *event);

#endif /* KAMAILIO_MODULE_MQTT_PV_H_ */
