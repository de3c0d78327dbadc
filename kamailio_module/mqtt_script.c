/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "kamailio_module/mqtt_script.h"

#include <string.h>

#include "core/dprint.h"
#include "core/error.h"
#include "core/pvapi.h"
#include "core/pvar.h"
#include "kamailio_module/bridge.h"

#define MAX_TOPIC_BYTES 65535
#define MAX_OPTIONS_BYTES 1024

/* Enough to recognize a wrong qos by, too little to show a payload that stands
 * in its place. */
#define SHOWN_QOS_BYTES 8

/* Requests, from scripts and KEMI alike. */

static mqtt_bytes bytes_of(const str *text) {
  mqtt_bytes bytes = {text->s != NULL ? text->s : "", text->len};
  return bytes;
}

static int answer(const char *function, mqtt_result result,
                  const mqtt_refusal *refusal) {
  if (refusal->text[0] == '\0') return result;
  if (result == MQTT_INVALID) {
    LM_ERR("%s: %s\n", function, refusal->text);
  } else {
    LM_WARN("%s: %s\n", function, refusal->text);
  }
  return result;
}

/* For what is refused, and logged, before it reaches the core. */
static int refuse(void) {
  mqtt_count_invalid_call();
  return MQTT_INVALID;
}

static int publish(const char *function, const str *topic, const str *payload,
                   int qos, const str *options) {
  mqtt_refusal refusal = {""};
  mqtt_result result = mqtt_publish(bytes_of(topic), bytes_of(payload), qos,
                                    bytes_of(options), &refusal);
  return answer(function, result, &refusal);
}

static int subscribe(const char *function, const str *topic, int qos) {
  mqtt_refusal refusal = {""};
  mqtt_result result = mqtt_subscribe(bytes_of(topic), qos, &refusal);
  return answer(function, result, &refusal);
}

static int unsubscribe(const char *function, const str *topic) {
  mqtt_refusal refusal = {""};
  mqtt_result result = mqtt_unsubscribe(bytes_of(topic), &refusal);
  return answer(function, result, &refusal);
}

static const str no_options = STR_STATIC_INIT("");

/* Parameters of script functions: FPARAM_STR is plain text, FPARAM_PVE has
 * pseudo-variables. */

/* What messages say about a parameter. */
typedef struct parameter {
  const char *function;
  const char *name;
} parameter;

/* Whether a fixup sees the value of an expression, evaluated for one call. */
static int is_call_time_value(void **param) {
  return fixup_get_param(param, 1, 1)->type == STRING_RVE_ST;
}

static int fix_text(void **param, const parameter *about) {
  if (is_call_time_value(param)) {
    /* What looks like a pseudo-variable is none, and there may be NULs. */
    int length = fixup_get_param(param, 1, 1)->u.str.len;
    if (fix_param(FPARAM_STR, param) != 0) return E_UNSPEC;
    ((fparam_t *)*param)->v.str.len = length;
    return 0;
  }
  if (fix_param(FPARAM_PVE, param) != 0) {
    LM_ERR("%s: %s \"%s\": unknown or malformed pseudo-variable\n",
           about->function, about->name, (char *)*param);
    return E_CFG;
  }
  if (((fparam_t *)*param)->v.pve->spec == NULL) {
    fparam_free_restore(param);
    return fix_param(FPARAM_STR, param);
  }
  return 0;
}

/* Returns 0..2, or -1 after logging. */
static int parse_qos(const str *text, const parameter *about) {
  if (text->len == 1 && text->s[0] >= '0' && text->s[0] <= '2') {
    return text->s[0] - '0';
  }
  LM_ERR("%s: %s \"%.*s\": must be 0, 1 or 2\n", about->function, about->name,
         text->len < SHOWN_QOS_BYTES ? text->len : SHOWN_QOS_BYTES, text->s);
  return -1;
}

static int fix_qos(void **param, const parameter *about) {
  fparam_t *fixed;

  if (fix_text(param, about) < 0) return E_CFG;
  fixed = *param;
  /* What is known only at the call is judged there. */
  if (fixed->type != FPARAM_STR || is_call_time_value(param)) return 0;
  return parse_qos(&fixed->v.str, about) < 0 ? E_CFG : 0;
}

static int is_one_variable(const pv_elem_t *format) {
  return format->text.len == 0 && format->next == NULL;
}

/* The value lasts until further pseudo-variables are evaluated. Returns 0, or
 * -1 after logging. */
static int evaluate(sip_msg_t *msg, fparam_t *param, const parameter *about,
                    str *text) {
  pv_value_t value;

  if (param->type == FPARAM_STR) {
    *text = param->v.str;
    return 0;
  }
  if (!is_one_variable(param->v.pve)) {
    if (pv_printf_s(msg, param->v.pve, text) == 0) return 0;
    LM_ERR(
        "%s: %s: longer than pv_buffer_size, %d bytes; build it in one "
        "pseudo-variable\n",
        about->function, about->name, pv_get_buffer_size());
    return -1;
  }
  if (pv_get_spec_value(msg, param->v.pve->spec, &value) != 0 ||
      (value.flags & PV_VAL_NULL)) {
    LM_ERR("%s: %s \"%s\": must not be null\n", about->function, about->name,
           param->orig);
    return -1;
  }
  *text = value.rs;
  return 0;
}

/* Like evaluate(), but the value lasts in `buffer`, of `size` bytes. */
static int evaluate_into(char *buffer, int size, sip_msg_t *msg,
                         fparam_t *param, const parameter *about, str *text) {
  if (evaluate(msg, param, about, text) < 0) return -1;
  if (text->len > size) {
    LM_ERR("%s: %s: has %d bytes, must have at most %d\n", about->function,
           about->name, text->len, size);
    return -1;
  }
  if (text->len > 0) memcpy(buffer, text->s, text->len);
  text->s = buffer;
  return 0;
}

/* Returns 0..2, or -1 after logging. */
static int evaluate_qos(sip_msg_t *msg, fparam_t *param,
                        const parameter *about) {
  str text;

  if (evaluate(msg, param, about, &text) < 0) return -1;
  return parse_qos(&text, about);
}

/* mqtt_publish(topic, payload, qos[, options]) */

static const parameter publish_parameters[] = {{"mqtt_publish", "topic"},
                                               {"mqtt_publish", "payload"},
                                               {"mqtt_publish", "qos"},
                                               {"mqtt_publish", "options"}};

static int fix_publish(void **param, int number) {
  const parameter *about = &publish_parameters[number - 1];
  return number == 3 ? fix_qos(param, about) : fix_text(param, about);
}

static int script_publish_options(sip_msg_t *msg, char *topic_param,
                                  char *payload_param, char *qos_param,
                                  char *options_param) {
  static char topic_buffer[MAX_TOPIC_BYTES];
  static char options_buffer[MAX_OPTIONS_BYTES];
  str topic;
  str payload;
  str options = no_options;
  int qos;

  if (evaluate_into(topic_buffer, sizeof(topic_buffer), msg,
                    (fparam_t *)topic_param, &publish_parameters[0],
                    &topic) < 0) {
    return refuse();
  }
  qos = evaluate_qos(msg, (fparam_t *)qos_param, &publish_parameters[2]);
  if (qos < 0) return refuse();
  if (options_param != NULL &&
      evaluate_into(options_buffer, sizeof(options_buffer), msg,
                    (fparam_t *)options_param, &publish_parameters[3],
                    &options) < 0) {
    return refuse();
  }
  /* The last one needs no copy. */
  if (evaluate(msg, (fparam_t *)payload_param, &publish_parameters[1],
               &payload) < 0) {
    return refuse();
  }
  return publish("mqtt_publish", &topic, &payload, qos, &options);
}

static int script_publish(sip_msg_t *msg, char *topic, char *payload,
                          char *qos) {
  return script_publish_options(msg, topic, payload, qos, NULL);
}

/* mqtt_subscribe(topic, qos) */

static const parameter subscribe_parameters[] = {{"mqtt_subscribe", "topic"},
                                                 {"mqtt_subscribe", "qos"}};

static int fix_subscribe(void **param, int number) {
  const parameter *about = &subscribe_parameters[number - 1];
  return number == 2 ? fix_qos(param, about) : fix_text(param, about);
}

static int script_subscribe(sip_msg_t *msg, char *topic_param,
                            char *qos_param) {
  str topic;
  int qos = evaluate_qos(msg, (fparam_t *)qos_param, &subscribe_parameters[1]);

  if (qos < 0 || evaluate(msg, (fparam_t *)topic_param,
                          &subscribe_parameters[0], &topic) < 0) {
    return refuse();
  }
  return subscribe("mqtt_subscribe", &topic, qos);
}

/* mqtt_unsubscribe(topic) */

static const parameter unsubscribe_topic = {"mqtt_unsubscribe", "topic"};

static int fix_unsubscribe(void **param, int number) {
  (void)number;
  return fix_text(param, &unsubscribe_topic);
}

static int script_unsubscribe(sip_msg_t *msg, char *topic_param, char *unused) {
  str topic;

  (void)unused;
  if (evaluate(msg, (fparam_t *)topic_param, &unsubscribe_topic, &topic) < 0) {
    return refuse();
  }
  return unsubscribe("mqtt_unsubscribe", &topic);
}

/* Kamailio calls a function with as many arguments as its parameters say. */
#define SCRIPT_FUNCTION(function) ((cmd_function)(void (*)(void))(function))

cmd_export_t mqtt_functions[] = {
    {"mqtt_publish", SCRIPT_FUNCTION(script_publish), 3, fix_publish,
     fixup_free_fparam_all, ANY_ROUTE},
    {"mqtt_publish", SCRIPT_FUNCTION(script_publish_options), 4, fix_publish,
     fixup_free_fparam_all, ANY_ROUTE},
    {"mqtt_subscribe", script_subscribe, 2, fix_subscribe,
     fixup_free_fparam_all, ANY_ROUTE},
    {"mqtt_unsubscribe", script_unsubscribe, 1, fix_unsubscribe,
     fixup_free_fparam_all, ANY_ROUTE},
    {0}};

/* KEMI: KSR.mqtt.publish(topic, payload, qos) and so on. */

static int kemi_publish(sip_msg_t *msg, str *topic, str *payload, int qos) {
  (void)msg;
  return publish("KSR.mqtt.publish", topic, payload, qos, &no_options);
}

static int kemi_publish_opts(sip_msg_t *msg, str *topic, str *payload, int qos,
                             str *options) {
  (void)msg;
  return publish("KSR.mqtt.publish_opts", topic, payload, qos, options);
}

static int kemi_subscribe(sip_msg_t *msg, str *topic, int qos) {
  (void)msg;
  return subscribe("KSR.mqtt.subscribe", topic, qos);
}

static int kemi_unsubscribe(sip_msg_t *msg, str *topic) {
  (void)msg;
  return unsubscribe("KSR.mqtt.unsubscribe", topic);
}

sr_kemi_t mqtt_kemi_functions[] = {
    {str_init("mqtt"),
     str_init("publish"),
     SR_KEMIP_INT,
     kemi_publish,
     {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_INT}},
    {str_init("mqtt"),
     str_init("publish_opts"),
     SR_KEMIP_INT,
     kemi_publish_opts,
     {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_INT, SR_KEMIP_STR}},
    {str_init("mqtt"),
     str_init("subscribe"),
     SR_KEMIP_INT,
     kemi_subscribe,
     {SR_KEMIP_STR, SR_KEMIP_INT}},
    {str_init("mqtt"),
     str_init("unsubscribe"),
     SR_KEMIP_INT,
     kemi_unsubscribe,
     {SR_KEMIP_STR}},
    {{NULL, 0}, {NULL, 0}, SR_KEMIP_NONE, NULL, {SR_KEMIP_NONE}}};
