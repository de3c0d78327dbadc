/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * What scripts call, in every process:
 *   mqtt_publish(topic, payload, qos[, options])
 *   mqtt_subscribe(topic, qos), mqtt_unsubscribe(topic)
 * and the same for KEMI, as KSR.mqtt.publish(...). They return a mqtt_result:
 * never 0, which would end the script.
 *
 * A text parameter that is one pseudo-variable is taken by value, whatever its
 * size and its bytes; one of text and pseudo-variables is limited by
 * Kamailio's pv_buffer_size, and refused beyond it. A null is refused.
 */
#ifndef KAMAILIO_MODULE_MQTT_SCRIPT_H_
#define KAMAILIO_MODULE_MQTT_SCRIPT_H_

#include "core/kemi.h"
#include "core/sr_module.h"

extern cmd_export_t mqtt_functions[];
extern sr_kemi_t mqtt_kemi_functions[];

#endif /* KAMAILIO_MODULE_MQTT_SCRIPT_H_ */
