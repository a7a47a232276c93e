#include "net/startup.h"

double startup_wait_s(double bytes, double goodput_bps, double rtt_s)
{
    double bytes_per_s = goodput_bps / 8;
    double window = STARTUP_INITIAL_WINDOW_BYTES; /* w_k */
    double sent = 0;                              /* W_k */
    double rounds = 0;                            /* k */
    while (sent + window < bytes && window < bytes_per_s * rtt_s) {
        sent += window;
        window *= 2;
        rounds += 1;
    }
    return rtt_s / 2 + rounds * rtt_s - sent / bytes_per_s;
}
