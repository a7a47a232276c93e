/* net/xml_text.h: places in the text of a platform XML, for messages. What the file means is
 * SimGrid's business; this only finds the line of what SimGrid or we complain about. */
#ifndef NET_XML_TEXT_H
#define NET_XML_TEXT_H

#include "sim/base/err.h"
#include "sim/base/file.h"

struct xml_text {
    const char *path; /* as it appears in messages */
    const char *text, *end;
};

void xml_text_init(struct xml_text *x, const char *path, const struct file *f);

/* "FILE:LINE: message" about the n-th thing (from 1) with id="name", the first where there are
 * fewer; half of a split-duplex link (NAME_UP, NAME_DOWN) is found as the whole. "FILE: message"
 * where it is not in the text. ERR_INPUT. */
enum err_code xml_text_fail(const struct xml_text *x, const char *name, int nth, struct err *e,
                            const char *message);
/* The same for a message of SimGrid's own, in one line: it names a line itself, or something. */
enum err_code xml_text_fail_as_simgrid(const struct xml_text *x, const char *said, struct err *e);

/* Refuses what SimGrid would take in silence: a bandwidth or latency without a unit (it stands for
 * bytes or seconds), and profiles of bandwidth, latency or failures, which would not be followed.
 */
enum err_code xml_text_check(const struct xml_text *x, struct err *e);

#endif
