/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The log of all the threads of the dispatcher process.
 *
 * Kamailio's LM_* belong to processes with one thread: they count entries in
 * a plain variable (a lost update silences the process for good), and read
 * the log level from a configuration block that the script thread may free.
 * What is here writes the same lines to the same place, be it stderr, syslog,
 * an engine such as JSON or a logging module, without either, and without
 * memory of Kamailio's.
 */
#ifndef KAMAILIO_MODULE_MQTT_LOG_H_
#define KAMAILIO_MODULE_MQTT_LOG_H_

#include "kamailio_module/bridge.h"

/* Takes over Kamailio's present log level and facility for this module. Only
 * a process's first thread may call it; mqtt_log() does so there. */
void mqtt_log_refresh(void);

/* Writes one line; `text` has no line end. Any thread of any process. */
void mqtt_log(mqtt_log_level level, const char *text);

#endif /* KAMAILIO_MODULE_MQTT_LOG_H_ */
