/* net/sg_xml.h: what SimGrid makes of a user's platform XML: hosts, links, and the routes between
 * each host and the server.
 *
 * A platform that is wrong makes SimGrid throw, abort or crash, and an engine cannot be taken down
 * again. So a child process loads it and says what it found; this process never does. */
#ifndef NET_SG_XML_H
#define NET_SG_XML_H

#include "sim/base/err.h"

/* *out is text, the caller's to mem_free: lines of words that end with a tab each,
 *
 *   link  NAME RATE_BPS POLICY ELEMENT     a link of some route, in the order of their numbers 0 ..
 *   host  NAME ELEMENT                     hosts by name, numbers in it by value; the server first
 *   route DIRECTION LATENCY_S LINK ...     "down" then "up" of the host above; none where there is
 * no route
 *
 * POLICY is shared, fatpipe or wifi; ELEMENT the property "element" of a host, a link or the whole
 * of a split-duplex link, or empty. ERR_INPUT when SimGrid refuses the file or there is no such
 * server: the message is SimGrid's, in one line, without the name of the file. */
enum err_code sg_xml_read(char **out, const char *path, const char *server, struct err *e);

#endif
