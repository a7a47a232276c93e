#include <stdio.h>

int main(void)
{
    puts("veryedge");
    return 0;
}
