/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "kamailio_module/mqtt_statistics.h"

#include <stdint.h>

#include "core/counters.h"
#include "core/dprint.h"
#include "kamailio_module/bridge.h"

static counter_val_t read_counter(counter_handle_t handle, void *index) {
  (void)handle;
  return mqtt_counter_value((uintptr_t)index);
}

int mqtt_statistics_init(void) {
  uintptr_t index;
  mqtt_counter counter;

  for (index = 0; (counter = mqtt_describe_counter(index)).name != NULL;
       index++) {
    if (counter_register(NULL, "mqtt", counter.name, CNT_F_NO_RESET,
                         read_counter, (void *)index, counter.description,
                         0) < 0) {
      LM_ERR("could not register the statistic %s\n", counter.name);
      return -1;
    }
  }
  return 0;
}
