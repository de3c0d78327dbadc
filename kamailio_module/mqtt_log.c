/* SPDX-License-Identifier: GPL-3.0-or-later */

#define _GNU_SOURCE /* gettid() */

#include "kamailio_module/mqtt_log.h"

#include <stdio.h>
#include <unistd.h>

#include "core/dprint.h"

static _Atomic int printed_level;
static _Atomic int facility;

void mqtt_log_refresh(void) {
  printed_level = get_debug_level(LOG_MNAME, LOG_MNAME_LEN);
  facility = get_debug_facility(LOG_MNAME, LOG_MNAME_LEN);
}

static int kamailio_level(mqtt_log_level level) {
  switch (level) {
    case MQTT_LOG_ERROR:
      return L_ERR;
    case MQTT_LOG_WARNING:
      return L_WARN;
    case MQTT_LOG_NOTICE:
      return L_NOTICE;
    case MQTT_LOG_INFO:
      return L_INFO;
    case MQTT_LOG_DEBUG:
      return L_DBG;
  }
  return L_ERR;
}

void mqtt_log(mqtt_log_level mqtt_level, const char *text) {
  int level = kamailio_level(mqtt_level);

  if (gettid() == getpid()) mqtt_log_refresh();
  if (level > printed_level) return;

  if (_ksr_slog_func != NULL) {
    ksr_logdata_t data = {0};
    data.v_facility = LOG2SYSLOG_LEVEL(level) | facility;
    data.v_level = level;
    data.v_lname = LOG_LEVEL2NAME(level);
    data.v_fname = __FILE__;
    data.v_fline = __LINE__;
    data.v_mname = LOG_MNAME;
    data.v_func = __func__;
    data.v_locinfo = LOC_INFO;
    _ksr_slog_func(&data, "%s\n", text);
  } else if (log_stderr) {
    fprintf(stderr, "%2d(%d) %s: %s: %s\n", process_no, (int)getpid(),
            LOG_LEVEL2NAME(level), LOG_MNAME, text);
  } else {
    _km_log_func(LOG2SYSLOG_LEVEL(level) | facility, "%s: %s: %s\n",
                 LOG_LEVEL2NAME(level), LOG_MNAME, text);
  }
}
